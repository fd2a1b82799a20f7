package hooks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"os"
	"path"
	"strings"
	"time"

	"ringhook/httpclient"
)

// multipartFormat writes multipart/form-data: the chosen parameters, and the recording of the call as a file.
var multipartFormat = format{name: "multipart", file: true, compile: compileMultipart, request: fillMultipart}

// recordingFile is the parameter that names the recording.
const recordingFile = "recording_file"

// Recordings opens the recordings of calls.
type Recordings interface {
	// Open opens the recording whose file is as Asterisk names it, and returns its content type. The error of one that may
	// be opened later has a method Later() time.Duration: the time after which it may be, 0 if that is not known.
	Open(file string) (f *os.File, contentType string, err error)
}

func compileMultipart(b *builder) {
	if b.request.cfg.File == "" {
		b.report("file", `format = "multipart" needs the name of the form field that has the recording, such as file = "file"`)
	}
	for name := range b.hook.cfg.Headers {
		if isContentType([2]string{name}) {
			b.report("headers."+name, `format = "multipart" has a content type of its own: leave it out`)
		}
	}
}

// compileFile checks the settings of a request that sends the recording.
func compileFile(b *builder) {
	c := b.request.cfg
	if strings.ContainsFunc(c.File, func(r rune) bool { return r < ' ' }) || len(c.File) > 80 {
		b.report("file", "is not the name of a field: up to 80 bytes without control characters")
	}
	if c.Secret != "" || c.OldSecret != "" {
		b.report("secret", "signs the whole body, and a recording is read while it is sent: leave it out")
	}
}

// Uploads reports whether an event's request sends the recording.
func (c *Config) Uploads() bool {
	uploads := c.File != ""
	for _, own := range c.On {
		uploads = uploads || own.File != ""
	}
	return uploads
}

// boundaryOf returns the text between the parts of a body. It is the same for every attempt.
func boundaryOf(ev *Event) string {
	sum := sha256.Sum256([]byte("boundary of " + ev.ID))
	return "ringhook-" + hex.EncodeToString(sum[:16])
}

// fillMultipart writes the fields of the body. The file is added when it is known, see addFile.
func fillMultipart(req *httpclient.Request, v view) {
	var body bytes.Buffer // which takes everything: nothing below fails
	w := multipart.NewWriter(&body)
	_ = w.SetBoundary(boundaryOf(v.event))
	if len(v.request.params) > 0 { // not every parameter of the event
		for _, f := range v.fields() {
			_ = w.WriteField(f.name, textOf(f.value))
		}
	}
	req.ContentType, req.Body, req.File = w.FormDataContentType(), body.Bytes(), &httpclient.File{}
}

// beforeFile returns the JSON object of an event up to the recording, its last field.
func (r *request) beforeFile(v view) ([]byte, *httpclient.File) {
	var fields []field
	if len(r.params) > 0 { // not every parameter of the event
		fields = v.fields()
	}
	body := bytes.TrimSuffix(jsonEncode(append(fields, field{r.cfg.File, ""})), []byte(`"}`))
	return body, &httpclient.File{Base64: true, Tail: []byte(`"}`)}
}

// addFile adds what surrounds the file in the body of a form: field, name and content type before it, and the end of the
// body.
func (r *request) addFile(req *httpclient.Request, ev *Event, contentType string) {
	if req.File.Base64 {
		return
	}
	boundary := boundaryOf(ev)
	if len(req.Body) > 0 {
		req.Body = append(req.Body, "\r\n"...)
	}
	req.Body = fmt.Appendf(req.Body, "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n",
		boundary, quoted(r.cfg.File), quoted(path.Base(ev.recording())), contentType)
	req.File.Tail = []byte("\r\n--" + boundary + "--\r\n")
}

// quoted escapes a name as browsers do in multipart/form-data.
func quoted(name string) string {
	return strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace(name)
}

// recording returns the file of the call's recording as Asterisk names it, empty for none.
func (ev *Event) recording() string {
	name, _ := ev.Params[recordingFile].(string)
	return name
}

// attach adds the recording to a request that sends it. closeFile closes its file. An outcome that is not nil is why it
// cannot be sent.
func (s *sender) attach(req *httpclient.Request, ev *Event) (closeFile func(), failed *outcome) {
	if req.File == nil {
		return func() {}, nil
	}
	fail := func(final bool, after time.Duration, why string) (func(), *outcome) {
		return nil, &outcome{class: classRecording, text: "not sent: " + why, final: final, retryAfter: after}
	}
	name := ev.recording()
	switch {
	case name == "":
		return fail(true, 0, fmt.Sprintf(`the event has no %s; when = "%s != ''" leaves out such events`, recordingFile, recordingFile))
	case s.recordings == nil:
		return fail(true, 0, "there are no recordings: set folder of [recordings]")
	}
	f, contentType, err := s.recordings.Open(name)
	var unready interface{ Later() time.Duration }
	switch {
	case errors.As(err, &unready):
		return fail(false, unready.Later(), fmt.Sprintf("%s: %v", name, err))
	case err != nil:
		return fail(true, 0, fmt.Sprintf("%s: %v", name, err))
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fail(false, 0, fmt.Sprintf("%s: %v", name, err))
	}
	s.hook.of(ev.Name).addFile(req, ev, contentType)
	req.File.ReaderAt, req.File.Size = f, info.Size()
	return func() { f.Close() }, nil
}
