package hooks

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

// Preview is a request as it would be sent, without its secrets.
type Preview struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"` // all that are sent, in their order
	Body    string      `json:"body,omitempty"`
	// Raw is the request as it is sent, with its secrets and its signature, but for the token of oauth2.
	Raw Raw `json:"-"`
}

// Raw is a request with its secrets. It prints as asterisks, so that no log shows it by mistake.
type Raw string

// String returns asterisks.
func (Raw) String() string { return httpclient.Masked }

// Render returns the request that an event makes for a hook of the configuration, with its secrets replaced by
// asterisks. The hook may be a copy, such as journal.2.
func Render(cfgs []Config, ev *Event, hook string) (Preview, error) {
	h, err := find(cfgs, hook)
	if err != nil {
		return Preview{}, err
	}
	return h.preview(ev, time.Now())
}

// Try sends an event to a hook of the configuration once, without the outbox, and returns what was sent and how it
// ended. wanted reports whether the hook subscribes to the event and its condition holds; the event is sent in any case.
func Try(cfgs []Config, ev *Event, hook string, log *slog.Logger) (p Preview, a Attempt, wanted bool, err error) {
	h, err := find(cfgs, hook)
	if err != nil {
		return p, a, false, err
	}
	started := time.Now()
	if p, err = h.preview(ev, started); err != nil {
		return p, a, false, err
	}
	client, err := newClient(h.cfg)
	if err != nil {
		return p, a, false, err
	}
	s := newSender(h, client, nil, log)
	defer s.close()
	o := s.try(ev, started)
	return p, Attempt{
		Started: started, Took: time.Since(started), Class: o.class, Status: o.status, Excerpt: s.excerpt(&o),
	}, h.wants(ev, log), nil
}

// Wants returns a function that reports whether a hook of the configuration subscribes to an event and its condition holds.
func Wants(cfgs []Config, hook string, log *slog.Logger) (func(*Event) bool, error) {
	h, err := find(cfgs, hook)
	if err != nil {
		return nil, err
	}
	return func(ev *Event) bool { return h.wants(ev, log) }, nil
}

// wants reports whether the hook subscribes to the event and its condition holds.
func (h *hook) wants(ev *Event, log *slog.Logger) bool {
	return h.cfg.subscribes(ev.Name) && h.meets(ev, log)
}

// find compiles the named hook.
func find(cfgs []Config, name string) (*hook, error) {
	for i := range cfgs {
		for n := range max(1, len(cfgs[i].URL)) {
			if nameOf(cfgs[i].Name, n) == name {
				return build(&cfgs[i], n)
			}
		}
	}
	return nil, fmt.Errorf("the configuration has no hook %q, only %s", name, oneOf(Names(cfgs)))
}

// Render returns the request that an event makes for a hook, with its secrets replaced by asterisks.
func (d *Dispatcher) Render(ev *Event, hook string) (Preview, error) {
	s := d.senders[hook]
	if s == nil {
		return Preview{}, fmt.Errorf("hook %q is not in the configuration", hook)
	}
	return s.hook.preview(ev, time.Now())
}

func (h *hook) preview(ev *Event, now time.Time) (Preview, error) {
	req, err := h.request(ev, now)
	if err != nil {
		return Preview{}, err
	}
	raw, err := req.AppendTo(nil)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Method: req.Method, URL: h.mask.Replace(req.URL), Body: h.mask.Replace(string(req.Body)), Raw: Raw(raw)}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ": ")
		p.Headers = append(p.Headers, [2]string{name, h.maskHeader(name, value)})
	}
	if h.cfg.OAuth2.TokenURL != "" {
		p.Headers = append(p.Headers, [2]string{"Authorization", "Bearer " + httpclient.Masked})
	}
	return p, nil
}

// harmless are the headers whose values are shown.
var harmless = []string{
	"accept", "accept-language", "content-length", "content-type", "host", "soapaction", "user-agent", "webhook-id", "webhook-timestamp",
}

// newMask makes the mask that hides a hook's secrets in all that is shown or stored of it: requests, errors, and answers
// that repeat the request.
func newMask(c *Config) *httpclient.Mask {
	named := []map[string]string{c.Settings, c.Params}
	for _, variant := range c.On {
		named = append(named, variant.Params)
	}
	return httpclient.MaskOf(&c.Credentials, c.URL, c.Headers, named, c.Secret, c.OldSecret)
}

// maskHeader hides a header's value unless the header is known to hold no secret.
func (h *hook) maskHeader(name, value string) string {
	if slices.Contains(harmless, strings.ToLower(name)) {
		return h.mask.Replace(value)
	}
	return httpclient.Masked
}
