package hooks

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
)

// render makes the request of an event, all of it but what changes from one
// attempt to the next.
func (h *hook) render(ev *Event) *httpclient.Request {
	v := view{h, ev}
	req := &httpclient.Request{Method: h.method, URL: string(h.url.Append(nil, v.text))}
	switch h.cfg.Format {
	case "query":
		req.URL = withQuery(req.URL, formEncode(v.fields()))
	case "form":
		req.ContentType, req.Body = "application/x-www-form-urlencoded", []byte(formEncode(v.fields()))
	case "json":
		req.ContentType = "application/json"
		req.Body = jsonEncode(v.fields())
	case "standard":
		req.ContentType = "application/json"
		req.Body = standardEncode(v)
	case "xml":
		req.ContentType, req.Body = "application/xml; charset=utf-8", xmlEncode(v.fields())
	case "template":
		req.ContentType, req.Body = h.cfg.ContentType, h.body.Append(nil, v.bodyText)
	}
	for _, header := range h.headers {
		req.Header = append(req.Header, [2]string{header.name, string(header.value.Append(nil, v.text))})
	}
	return req
}

// request makes the whole request of one attempt.
func (h *hook) request(ev *Event, now time.Time) (*httpclient.Request, error) {
	req := h.render(ev)
	for _, header := range req.Header {
		if isContentType(header) {
			req.ContentType = ""
		}
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	req.Header = append(req.Header, [2]string{"webhook-id", ev.ID}, [2]string{"webhook-timestamp", timestamp})
	if len(h.signers) > 0 {
		signature, err := sign(h.signers, ev.ID, timestamp, req.Body)
		if err != nil {
			return nil, err
		}
		req.Header = append(req.Header, [2]string{"webhook-signature", signature})
	}
	if auth := h.cfg.Basic(); auth != "" {
		req.Header = append(req.Header, [2]string{"Authorization", auth})
	}
	return req, nil
}

func isContentType(header [2]string) bool { return strings.EqualFold(header[0], "Content-Type") }

// bodyText gives what a placeholder in a body stands for: one of the chosen
// parameters, else as everywhere.
func (v view) bodyText(key string) string {
	params := v.hook.params
	if own, ok := v.hook.variants[v.event.Name]; ok {
		params = own
	}
	for _, p := range params {
		if p.name == key {
			return textOf(p.value(v))
		}
	}
	return v.text(key)
}

// withQuery adds parameters to a URL that may have some already.
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

func formEncode(fields []field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(f.name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(textOf(f.value)))
	}
	return b.String()
}

// jsonEncode writes one object; numbers are numbers, and what has no value is
// null.
func jsonEncode(fields []field) []byte {
	b := append(make([]byte, 0, 512), '{')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(httpclient.AppendJSON(b, f.name), ':')
		b = AppendJSON(b, f.value)
	}
	return append(b, '}')
}

// AppendJSON appends a parameter's value as JSON: a number, a truth or a text, and
// null for nil.
func AppendJSON(dst []byte, value any) []byte {
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

// standardEncode writes the body of Standard Webhooks.
func standardEncode(v view) []byte {
	data := jsonEncode(v.fields())
	return jsonEncode([]field{{"type", v.value("event")}, {"timestamp", v.value("time")}, {"data", json.RawMessage(data)}})
}

var xmlValue = mustTemplate("%v%", httpclient.PlaceXML)

func mustTemplate(text string, place httpclient.Place) *httpclient.Template {
	t, err := httpclient.ParseTemplate(text, place)
	if err != nil {
		panic(err)
	}
	return t
}

// xmlEncode writes an element for each parameter. A name that a lookup made
// up and that is none in XML is left out.
func xmlEncode(fields []field) []byte {
	b := []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<event>\n")
	for _, f := range fields {
		if !fieldName.MatchString(f.name) {
			continue
		}
		b = fmt.Appendf(b, "  <%s>", f.name)
		b = xmlValue.Append(b, func(string) string { return textOf(f.value) })
		b = fmt.Appendf(b, "</%s>\n", f.name)
	}
	return append(b, "</event>\n"...)
}
