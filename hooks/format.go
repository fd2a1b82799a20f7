package hooks

import (
	"net/http"

	"ringhook/httpclient"
)

// format is one way to write the payload of a hook's requests.
type format struct {
	name string // as the key format has it
	// query writes the payload into the URL's query instead of the body.
	query bool
	// file reports that the payload may have the recording of the call, in the field that the key file names.
	file bool
	// contentType is that of the body. A format with a compile function sets it per hook.
	contentType string
	// compile reads the keys body and content_type; nil if the format has neither.
	compile func(b *builder)
	// write returns the payload of an event; nil if request writes it.
	write func(v view) []byte
	// request writes the payload of an event into a request that has more than a text as its body.
	request func(req *httpclient.Request, v view)
}

// formats are the values of the key format. A new format is a file and a line here.
var formats = []*format{&queryFormat, &formFormat, &jsonFormat, &xmlFormat, &standardFormat, &templateFormat, &multipartFormat}

// formatNamed returns a format by its name, nil if there is none.
func formatNamed(name string) *format {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return nil
}

func formatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// method is the HTTP method of a hook that sets none.
func (f *format) method() string {
	if f.query {
		return http.MethodGet
	}
	return http.MethodPost
}

// fill writes the payload of an event into a request.
func (f *format) fill(req *httpclient.Request, v view) {
	if f.request != nil {
		f.request(req, v)
		return
	}
	payload := f.write(v)
	if f.query {
		req.URL = withQuery(req.URL, string(payload))
		return
	}
	req.ContentType, req.Body = v.request.contentType, payload
}
