package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"ringhook/httpclient"
)

// queryFormat writes name=value pairs into the URL's query.
var queryFormat = format{name: "query", query: true, write: writeForm}

// formFormat writes the same pairs as a form.
var formFormat = format{name: "form", contentType: "application/x-www-form-urlencoded", write: writeForm}

func writeForm(v view) []byte { return formEncode(v.fields()) }

func formEncode(fields []field) []byte {
	b := make([]byte, 0, 512)
	for i, f := range fields {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, url.QueryEscape(f.name)...)
		b = append(b, '=')
		b = append(b, url.QueryEscape(textOf(f.value))...)
	}
	return b
}

// withQuery adds parameters to a URL that may already have some.
func withQuery(u, query string) string {
	switch {
	case query == "":
		return u
	case !strings.Contains(u, "?"):
		return u + "?" + query
	case strings.HasSuffix(u, "?") || strings.HasSuffix(u, "&"):
		return u + query
	}
	return u + "&" + query
}

// jsonFormat writes one JSON object, of which the recording of the call may be the last field.
var jsonFormat = format{name: "json", file: true, contentType: "application/json", request: fillJSON}

func fillJSON(req *httpclient.Request, v view) {
	req.ContentType = v.request.contentType
	if v.request.cfg.File == "" {
		req.Body = jsonEncode(v.fields())
		return
	}
	req.Body, req.File = v.request.beforeFile(v)
}

// standardFormat writes the body that Standard Webhooks recommends: type, timestamp and data.
var standardFormat = format{name: "standard", contentType: "application/json", write: func(v view) []byte {
	data := jsonEncode(v.fields())
	return jsonEncode([]field{{"type", v.named("event")}, {"timestamp", v.named("time")}, {"data", json.RawMessage(data)}})
}}

// jsonEncode writes one object. Numbers are numbers, and a field without a value is null.
func jsonEncode(fields []field) []byte {
	b := append(make([]byte, 0, 512), '{')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(httpclient.AppendJSON(b, f.name), ':')
		b = appendJSON(b, f.value)
	}
	return append(b, '}')
}

// appendJSON appends a parameter's value as JSON: a number, a boolean or a string, and null for nil.
func appendJSON(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.RawMessage:
		return append(dst, v...)
	}
	return httpclient.AppendJSON(dst, textOf(value))
}

// xmlFormat writes an element for each parameter. A name that comes from a lookup and is not valid in XML is left out.
var xmlFormat = format{name: "xml", contentType: "application/xml; charset=utf-8", write: func(v view) []byte {
	b := []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<event>\n")
	for _, f := range v.fields() {
		if !fieldName.MatchString(f.name) {
			continue
		}
		b = fmt.Appendf(b, "  <%s>", f.name)
		b = httpclient.AppendXML(b, textOf(f.value))
		b = fmt.Appendf(b, "</%s>\n", f.name)
	}
	return append(b, "</event>\n"...)
}}

// omitEmpty returns a JSON text without what is empty in it: texts without a character, null, and objects and lists in which
// nothing is left. The order stays. A text that is no JSON is returned as it is.
func omitEmpty(text []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	out, _, err := appendFull(make([]byte, 0, len(text)), d)
	if _, end := d.Token(); err != nil || !errors.Is(end, io.EOF) {
		return text
	}
	return out
}

// appendFull appends the next value of d without what is empty in it, and reports whether anything was left of it.
func appendFull(dst []byte, d *json.Decoder) (out []byte, full bool, err error) {
	token, err := d.Token()
	if err != nil {
		return dst, false, err
	}
	switch token := token.(type) {
	case json.Delim:
		return appendMembers(append(dst, byte(token)), d, token == '{')
	case string:
		return httpclient.AppendJSON(dst, token), token != "", nil
	case json.Number:
		return append(dst, token...), true, nil
	case bool:
		if token {
			return append(dst, "true"...), true, nil
		}
		return append(dst, "false"...), true, nil
	}
	return append(dst, "null"...), false, nil
}

// appendMembers appends the rest of an object or a list.
func appendMembers(dst []byte, d *json.Decoder, object bool) (out []byte, full bool, err error) {
	for d.More() {
		before := len(dst)
		if full {
			dst = append(dst, ',')
		}
		if object {
			name, err := d.Token()
			if err != nil {
				return dst, false, err
			}
			dst = append(httpclient.AppendJSON(dst, name.(string)), ':')
		}
		var left bool
		if dst, left, err = appendFull(dst, d); err != nil {
			return dst, false, err
		}
		if !left {
			dst = dst[:before]
		}
		full = full || left
	}
	end, err := d.Token()
	if err != nil {
		return dst, false, err
	}
	return append(dst, byte(end.(json.Delim))), full, nil
}
