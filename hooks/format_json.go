package hooks

import (
	"encoding/json"
	"strconv"

	"ringhook/httpclient"
)

// jsonFormat writes one JSON object.
var jsonFormat = format{name: "json", contentType: "application/json", write: func(v view) []byte { return jsonEncode(v.fields()) }}

// standardFormat writes the body that Standard Webhooks recommends: type, timestamp and data.
var standardFormat = format{name: "standard", contentType: "application/json", write: func(v view) []byte {
	data := jsonEncode(v.fields())
	return jsonEncode([]field{{"type", v.value("event")}, {"timestamp", v.value("time")}, {"data", json.RawMessage(data)}})
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
