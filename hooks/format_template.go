package hooks

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"ringhook/httpclient"
)

// templateFormat writes the hook's own body, with its placeholders filled.
var templateFormat = format{name: "template", compile: compileBody, write: func(v view) []byte {
	body := v.request.body.append(nil, v)
	if v.request.cfg.OmitEmpty && v.request.place == httpclient.PlaceJSON {
		return omitEmpty(body)
	}
	return body
}}

// bodyMissing describes a template without a body.
const bodyMissing = "format = \"template\" needs a body"

func compileBody(b *builder) {
	r, c := b.request, b.request.cfg
	r.contentType = c.ContentType
	if c.Body == "" {
		b.report("body", bodyMissing)
	}
	place, err := placeOf(c.ContentType)
	if err != nil {
		b.report("content_type", err.Error())
	}
	r.place = place
	r.body = b.text("body", c.Body, place)
	if r.body == nil || err != nil || c.Body == "" {
		return
	}
	for i, key := range r.body.Keys() {
		if n := slices.IndexFunc(r.params, func(p param) bool { return p.name == key }); n >= 0 {
			r.body.holes[i].param = &r.params[n]
		}
	}
	if err := readable(r.body.Template, place); err != nil {
		b.report("body", err.Error())
	}
}

// readable checks that a body is what its content type says, with a letter or a digit in place of each value.
func readable(body *httpclient.Template, place httpclient.Place) error {
	switch place {
	case httpclient.PlaceJSON:
		var value any
		if err := json.Unmarshal(body.Append(nil, func(string) string { return "1" }), &value); err != nil {
			return fmt.Errorf("body is no JSON: %w", err)
		}
	case httpclient.PlaceXML:
		d := xml.NewDecoder(bytes.NewReader(body.Append(nil, func(string) string { return "x" })))
		d.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil }
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("body is no XML: %w", err)
			}
		}
	}
	return nil
}

// placeOf returns how values are escaped in a body of a content type.
func placeOf(contentType string) (httpclient.Place, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(media, "/") {
		return httpclient.PlaceText, fmt.Errorf("%q is not a content type, such as application/json", contentType)
	}
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"):
		return httpclient.PlaceJSON, nil
	case strings.HasSuffix(media, "/xml") || strings.HasSuffix(media, "+xml"):
		return httpclient.PlaceXML, nil
	case media == "application/x-www-form-urlencoded":
		return httpclient.PlaceForm, nil
	case media == "text/plain":
		return httpclient.PlaceText, nil
	}
	return httpclient.PlaceText, errors.New("content type is one whose escaping is not known: use one of JSON, XML or forms, or text/plain")
}
