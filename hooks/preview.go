package hooks

import (
	"errors"
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
func Try(cfgs []Config, with Shared, ev *Event, hook string, log *slog.Logger) (p Preview, a Attempt, wanted bool, err error) {
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
	s, err := newSender(h, client, with, nil, log)
	if err != nil {
		return p, a, false, err
	}
	defer s.close()
	o := s.try(ev, started)
	return p, Attempt{
		Started: started, Took: time.Since(started), Class: o.class, Status: o.status, Excerpt: s.excerpt(&o),
	}, h.wants(ev, log.Warn), nil
}

// Wants returns a function that reports whether a hook of the configuration subscribes to an event and its condition holds.
func Wants(cfgs []Config, hook string, log *slog.Logger) (func(*Event) bool, error) {
	h, err := find(cfgs, hook)
	if err != nil {
		return nil, err
	}
	return func(ev *Event) bool { return h.wants(ev, log.Warn) }, nil
}

// wants reports whether the hook subscribes to the event and its condition holds.
func (h *hook) wants(ev *Event, warn func(msg string, args ...any)) bool {
	return h.cfg.subscribes(ev.Name) && h.meets(ev, warn)
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
	ev, err := s.recall(ev)
	if err != nil {
		return Preview{}, err
	}
	return s.hook.preview(ev, time.Now())
}

func (h *hook) preview(ev *Event, now time.Time) (Preview, error) {
	req, err := h.request(ev, now)
	if err != nil {
		return Preview{}, err
	}
	uploads := req.File != nil
	showFile(req, h.of(ev.Name), ev)
	raw, err := req.AppendTo(nil)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Method: req.Method, URL: h.mask.Replace(req.URL), Body: h.mask.Replace(string(req.Body)), Raw: Raw(raw)}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if uploads && name == "Content-Length" { // that of the file is not known
			continue
		}
		p.Headers = append(p.Headers, [2]string{name, h.maskHeader(name, value)})
	}
	switch {
	case h.of(ev.Name).apart:
	case h.cfg.Account != "":
		p.Headers = append(p.Headers, [2]string{"(account " + h.cfg.Account + ")", httpclient.Masked})
	case h.cfg.OAuth2.TokenURL != "":
		p.Headers = append(p.Headers, [2]string{"Authorization", "Bearer " + httpclient.Masked})
	}
	return p, nil
}

// showFile puts a text in place of the recording that a request sends. The length of the body is then not that of the
// request.
func showFile(req *httpclient.Request, r *request, ev *Event) {
	if req.File == nil {
		return
	}
	r.addFile(req, ev, "(by the name)")
	req.Body = fmt.Appendf(req.Body, "(the recording %s)%s", ev.recording(), req.File.Tail)
	req.File = nil
}

// harmless are the headers whose values are shown.
var harmless = []string{
	"accept", "accept-language", "content-length", "content-type", "host", "soapaction", "user-agent", "webhook-id", "webhook-timestamp",
}

// newMasks makes the mask that hides a hook's secrets in all that is shown or stored of it: requests, errors, and answers
// that repeat the request; and the mask of the values that are remembered of answers.
func newMasks(c *Config) (mask, answers *httpclient.Mask) {
	named, urls := []map[string]string{c.Settings, c.Params}, append(slices.Clone(c.URL), c.Path)
	for _, variant := range c.On {
		named, urls = append(named, variant.Params), append(urls, variant.URL, variant.Path)
	}
	return httpclient.MaskOf(&c.Credentials, urls, c.Headers, named, c.Secret, c.OldSecret),
		httpclient.MaskAnswers(&c.Credentials, urls, c.Headers, named, c.Secret, c.OldSecret)
}

// maskHeader hides a header's value unless the header is known to hold no secret.
func (h *hook) maskHeader(name, value string) string {
	if slices.Contains(harmless, strings.ToLower(name)) {
		return h.mask.Replace(value)
	}
	return httpclient.Masked
}

// Once sends an event to a hook now, with what earlier answers of its call left, and without storing or repeating it. It
// returns why the hook did not take it, without a word of the answer. A hook that is paused or disabled is not asked.
func (d *Dispatcher) Once(hook string, ev *Event) error {
	s := d.senders[hook]
	if s == nil {
		return fmt.Errorf("hook %q is not in the configuration", hook)
	}
	for {
		s = s.current()
		done, err := s.once(ev)
		if done {
			return err
		}
		if s.current() == s {
			return fmt.Errorf("hook %q sends nothing any more: it is no longer in the configuration, or ringhook stops", hook)
		}
	}
}

// once makes the attempt of Once, unless the sender is closed.
func (s *sender) once(ev *Event) (done bool, err error) {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.closed {
		return false, nil
	}
	if err := s.blockedBy(time.Now()); err != nil {
		return true, err
	}
	if s.hook.limiter != nil && !s.hook.limiter.Allow() {
		return true, errors.New("rate: no further attempt is allowed now")
	}
	if s.tokens.Quota().Take(1) == 0 {
		return true, errors.New("rate of the account: no further request is allowed now")
	}
	o := outcome{}
	if ev, err = s.recall(ev); err == nil {
		o = s.try(ev, time.Now())
	}
	if !o.used() {
		s.tokens.Quota().Return(1)
	}
	if err != nil {
		return true, fmt.Errorf("read remembered values: %w", err)
	}
	if o.class == classDelivered {
		return true, nil
	}
	a := Attempt{Class: o.class, Status: o.status, Excerpt: s.excerpt(&o)}
	return true, fmt.Errorf("%s: %s", o.class, a.Cause())
}
