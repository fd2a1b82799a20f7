package hooks

import (
	"fmt"
	"slices"
	"time"
)

// Preview is a request as it would be sent, without its secrets.
type Preview struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"` // in the order in which they are sent
	Body    string      `json:"body,omitempty"`
}

// Render returns the request that an event makes for a hook of a configuration that
// Check accepts; secrets in it are replaced by asterisks.
func Render(cfgs []Config, ev *Event, hook string) (Preview, error) {
	for i := range cfgs {
		for n := range max(1, len(cfgs[i].URL)) {
			if nameOf(cfgs[i].Name, n) == hook {
				return compile(&cfgs[i], n, func(string, string) {}).preview(ev)
			}
		}
	}
	return Preview{}, unknownHook(hook)
}

// Render returns the request that an event makes for a hook; secrets in it are
// replaced by asterisks.
func (d *Dispatcher) Render(ev *Event, hook string) (Preview, error) {
	s := d.senders[hook]
	if s == nil {
		return Preview{}, unknownHook(hook)
	}
	return s.hook.preview(ev)
}

func unknownHook(name string) error {
	return fmt.Errorf("hook %q is not in the configuration", name)
}

func (h *hook) preview(ev *Event) (Preview, error) {
	req, err := h.request(ev, time.Now())
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Method: req.Method, URL: h.mask.Replace(req.URL), Body: h.mask.Replace(string(req.Body))}
	headers := req.Header
	if req.ContentType != "" && !slices.ContainsFunc(headers, isContentType) {
		headers = append([][2]string{{"Content-Type", req.ContentType}}, headers...)
	}
	for _, header := range headers {
		p.Headers = append(p.Headers, [2]string{header[0], h.maskHeader(header[0], header[1])})
	}
	return p, nil
}

// Try sends an event to a hook now, past the outbox, and tells what was sent
// and how it ended: for an administrator who wants to see whether a hook
// works. Nothing is retried or counted.
func (d *Dispatcher) Try(ev *Event, hook string) (Preview, Attempt, error) {
	p, err := d.Render(ev, hook)
	if err != nil {
		return p, Attempt{}, err
	}
	s := d.senders[hook]
	started := time.Now()
	o := s.try(ev, started)
	return p, Attempt{
		Started: started, Took: time.Since(started), Class: o.class, Status: o.status, Excerpt: s.hook.mask.Replace(o.excerpt),
	}, nil
}
