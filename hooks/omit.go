package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"ringhook/httpclient"
)

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
