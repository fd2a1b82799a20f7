// Package recordings makes links to recordings of calls, and serves the files of one folder under links that are signed
// and expire.
//
// It guarantees that only files below the folder are served, only those whose link was made here and has not expired,
// and none that is still being written.
package recordings

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
	"ringhook/loglimit"
)

// Prefix is the beginning of the paths of links.
const Prefix = "/recordings/"

const (
	// maxServing is the maximum number of files that are sent at once.
	maxServing = 32
	// sendTime is the longest that a file is sent.
	sendTime = 10 * time.Minute
	// maxPath is the maximum length of a file's path, in bytes.
	maxPath = 1024
)

// types are the kinds of files that are served, by their endings. Others in the folder are no recordings.
var types = map[string]string{
	".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".gsm": "audio/x-gsm", ".wav49": "audio/x-wav",
	".ulaw": "audio/basic", ".alaw": "audio/x-alaw-basic", ".g722": "audio/G722", ".sln": "audio/x-sln", ".m4a": "audio/mp4", ".webm": "audio/webm", ".flac": "audio/flac",
}

// Recordings makes links and serves files. Exchange replaces its settings. Its methods may be called concurrently.
type Recordings struct {
	key     atomic.Pointer[[]byte] // of the signatures; empty if there is none
	log     *slog.Logger
	limited *loglimit.Limiter // for what a request causes
	served  *prometheus.CounterVec
	slots   chan struct{}
	now     func() time.Time
	current atomic.Pointer[current]
}

// current is what a reload exchanges.
type current struct {
	Config
	base string // scheme and host of signed links
	url  *httpclient.Template
}

// The outcomes of the metric.
const (
	outcomeSent        = "sent"
	outcomeDenied      = "denied" // wrong or expired signature
	outcomeMissing     = "missing"
	outcomeUnwritten   = "unwritten" // not complete
	outcomeBusy        = "busy"
	outcomeUnavailable = "unavailable" // there is no key
)

// New returns Recordings that sign with a key. With an empty key there are no signed links, and no file is served. Close ends
// them.
func New(key []byte, log *slog.Logger, reg prometheus.Registerer) *Recordings {
	r := &Recordings{log: log, limited: loglimit.New(log, time.Minute), slots: make(chan struct{}, maxServing), now: time.Now, served: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ringhook_recordings_requests_total", Help: "Requests for recordings, by outcome: sent, denied, missing, unwritten, busy or unavailable.",
	}, []string{"outcome"})}
	for _, outcome := range []string{outcomeSent, outcomeDenied, outcomeMissing, outcomeUnwritten, outcomeBusy, outcomeUnavailable} {
		r.served.WithLabelValues(outcome)
	}
	reg.MustRegister(r.served)
	r.SetKey(key)
	r.current.Store(&current{Config: DefaultConfig()})
	return r
}

// SetKey sets the key of signatures.
func (r *Recordings) SetKey(key []byte) { r.key.Store(&key) }

// HasKey reports whether links can be signed.
func (r *Recordings) HasKey() bool { return len(*r.key.Load()) > 0 }

// Close logs what was counted and not logged yet.
func (r *Recordings) Close() error {
	r.limited.Close()
	return nil
}

// Exchange puts settings in force that Check accepts. base is the address of the desk, such as https://desk.example.
func (r *Recordings) Exchange(cfg Config, base string) {
	next := &current{Config: cfg, base: strings.TrimSuffix(base, "/")}
	if cfg.URL != "" {
		next.url, _ = httpclient.ParseTemplate(cfg.URL, httpclient.PlaceURL)
	}
	r.current.Store(next)
	if cfg.Serves() && !r.HasKey() {
		r.log.Error("recordings are unavailable, their links cannot be signed", "hint", "repair or remove credentials.db, then restart ringhook")
	}
}

// URL returns the link to a recording, whose file is as Asterisk names it; empty if there can be none. The file need not
// exist yet. linkedid is that of the call.
func (r *Recordings) URL(file, linkedid string) string {
	cur := r.current.Load()
	if file == "" || len(file) > maxPath {
		return ""
	}
	switch {
	case cur.url != nil:
		name := file
		if inside, ok := below(cur.Folder, file); ok {
			name = inside
		}
		return string(cur.url.Append(nil, func(key string) string {
			switch key {
			case "name":
				return path.Base(name)
			case "linkedid":
				return linkedid
			}
			return name
		}))
	case cur.Folder != "" && cur.base != "" && r.HasKey():
		name, ok := below(cur.Folder, file)
		if !ok || types[strings.ToLower(path.Ext(name))] == "" {
			return ""
		}
		until := r.now().Add(cur.Life).Unix()
		return cur.base + Prefix + escape(name) + "?until=" + strconv.FormatInt(until, 10) + "&sign=" + r.sign(name, until)
	}
	return ""
}

// below returns the path of a file below a folder, with slashes. A relative path is one below it already.
func below(folder, file string) (name string, ok bool) {
	if folder == "" {
		return "", false
	}
	if filepath.IsAbs(file) {
		rel, err := filepath.Rel(folder, file)
		if err != nil {
			return "", false
		}
		file = rel
	}
	file = path.Clean(file)
	return file, fs.ValidPath(file) && file != "."
}

// escape percent-encodes each part of a path.
func escape(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// sign returns the signature of a path and the time until which its link works.
func (r *Recordings) sign(name string, until int64) string {
	mac := hmac.New(sha256.New, *r.key.Load())
	fmt.Fprintf(mac, "recording\n%d\n%s", until, name)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ServeHTTP serves a recording.
func (r *Recordings) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	cur := r.current.Load()
	outcome := outcomeMissing
	defer func() { r.served.WithLabelValues(outcome).Inc() }()
	if !cur.Serves() {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	if !r.HasKey() {
		outcome = outcomeUnavailable
		http.Error(w, "recordings are unavailable: the log of ringhook has the reason", http.StatusServiceUnavailable)
		return
	}
	name := strings.TrimPrefix(req.URL.Path, Prefix)
	if !r.valid(name, req.URL.Query()) {
		outcome = outcomeDenied
		http.Error(w, "the link is wrong or has expired", http.StatusForbidden)
		return
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		outcome = outcomeBusy
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many recordings are sent now", http.StatusServiceUnavailable)
		return
	}
	outcome = r.send(w, req, cur, name)
}

// valid reports whether a link was made here and has not expired.
func (r *Recordings) valid(name string, query url.Values) bool {
	if len(query["until"]) != 1 || len(query["sign"]) != 1 || len(name) > maxPath || !fs.ValidPath(name) || name == "." {
		return false
	}
	until, err := strconv.ParseInt(query.Get("until"), 10, 64)
	// The signature is compared before the time, so that the answer says nothing about links that were never made.
	return err == nil && hmac.Equal([]byte(query.Get("sign")), []byte(r.sign(name, until))) && r.now().Unix() < until
}

// send sends a file, and returns the outcome.
func (r *Recordings) send(w http.ResponseWriter, req *http.Request, cur *current, name string) (outcome string) {
	f, info, err := open(cur.Folder, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "there is no such recording", http.StatusNotFound)
		return outcomeMissing
	case err != nil:
		var named *fs.PathError
		if errors.As(err, &named) { // the file's name may have the caller's number in it
			err = named.Err
		}
		r.limited.Warn("open", "cannot open a recording", "err", err)
		http.Error(w, "the recording cannot be read", http.StatusNotFound)
		return outcomeMissing
	}
	defer f.Close()
	if r.now().Sub(info.ModTime()) < cur.Settle {
		w.Header().Set("Retry-After", strconv.Itoa(int(cur.Settle/time.Second)))
		http.Error(w, "the recording is not complete yet", http.StatusServiceUnavailable)
		return outcomeUnwritten
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTime))
	h := w.Header()
	h.Set("Content-Type", types[strings.ToLower(path.Ext(name))])
	h.Set("Content-Disposition", `inline; filename="`+plainName(path.Base(name))+`"`)
	h.Set("Cache-Control", "private, max-age=3600")
	http.ServeContent(w, req, "", info.ModTime(), f)
	return outcomeSent
}

// Unready is the error of a recording that cannot be opened now, and may be later.
type Unready struct {
	Err error
	// After is the time after which it may be complete, 0 if that is not known.
	After time.Duration
}

// Error returns why the recording cannot be opened.
func (u *Unready) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Unready) Unwrap() error { return u.Err }

// Later returns After.
func (u *Unready) Later() time.Duration { return u.After }

// Open opens a recording, whose file is as Asterisk names it, and returns its content type. It is complete, not empty and
// not larger than MaxUpload. An *Unready error is one of a file that does not exist, is empty or may still be written; any
// other will stay the same.
func (r *Recordings) Open(file string) (f *os.File, contentType string, err error) {
	cur := r.current.Load()
	if cur.Folder == "" {
		return nil, "", errors.New("[recordings] has no folder")
	}
	name, ok := below(cur.Folder, file)
	if !ok || len(file) > maxPath {
		return nil, "", errors.New("the recording is not in the folder of [recordings]")
	}
	contentType = types[strings.ToLower(path.Ext(name))]
	if contentType == "" {
		return nil, "", errors.New("the recording's name does not end as that of an audio file")
	}
	f, info, err := open(cur.Folder, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &Unready{Err: errors.New("there is no such file in the folder of [recordings]")}
	case err != nil:
		return nil, "", &Unready{Err: fmt.Errorf("the recording cannot be read: %w", err)} // a right may be granted
	}
	switch age := r.now().Sub(info.ModTime()); {
	case age < cur.Settle:
		err = &Unready{Err: errors.New("the recording is not complete yet"), After: min(cur.Settle, cur.Settle-age)}
	case info.Size() == 0:
		err = &Unready{Err: errors.New("the recording is empty")}
	case info.Size() > int64(cur.MaxUpload):
		err = fmt.Errorf("the recording has %d bytes, more than max_upload of [recordings]", info.Size())
	default:
		return f, contentType, nil
	}
	return nil, "", errors.Join(err, f.Close())
}

// open opens a recording below a folder. Symbolic links that leave the folder are not followed.
func open(folder, name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// plainName returns a file's name without what cannot stand in a header.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || slices.Contains([]rune{'"', '\\'}, c) {
			return '_'
		}
		return c
	}, name)
}
