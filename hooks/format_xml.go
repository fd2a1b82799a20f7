package hooks

import (
	"fmt"

	"ringhook/httpclient"
)

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
