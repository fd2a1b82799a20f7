package hooks

import (
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
)

// render returns the request of an event without the parts that change from one attempt to the next.
func (h *hook) render(ev *Event) *httpclient.Request {
	v := view{h, ev}
	req := &httpclient.Request{Method: h.method, URL: string(h.url.Append(nil, v.text))}
	h.format.fill(req, v)
	for _, header := range h.headers {
		req.Header = append(req.Header, [2]string{header.name, string(header.value.Append(nil, v.text))})
	}
	return req
}

// request returns the whole request of one attempt.
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
