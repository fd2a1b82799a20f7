package hooks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
)

// render returns the request of an event without the parts that change from one attempt to the next.
func (h *hook) render(ev *Event) (*httpclient.Request, error) {
	r := h.of(ev.Name)
	if r == nil {
		return nil, fmt.Errorf("the hook has no request for the event %s", ev.Name)
	}
	v := view{r, ev}
	req := &httpclient.Request{Method: r.method, URL: string(r.url.append(nil, v))}
	r.format.fill(req, v)
	for _, header := range r.headers {
		req.Header = append(req.Header, [2]string{header.name, string(header.value.append(nil, v))})
	}
	return req, nil
}

// request returns the whole request of one attempt.
func (h *hook) request(ev *Event, now time.Time) (*httpclient.Request, error) {
	req, err := h.render(ev)
	if err != nil {
		return nil, err
	}
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
	if auth := h.cfg.Basic(); auth != "" && !h.of(ev.Name).apart {
		req.Header = append(req.Header, [2]string{"Authorization", auth})
	}
	return req, nil
}

func isContentType(header [2]string) bool { return strings.EqualFold(header[0], "Content-Type") }

// Text is a text whose placeholders take the parameters of an event, as those of a hook do. It is immutable.
type Text struct {
	text    *text
	request *request
}

// ParseText parses a text with placeholders such as %callerid% and %started:15:04%. Settings are values of the
// administrator's own, which placeholders take like parameters. The error describes a format that does not fit.
func ParseText(source string, settings map[string]string) (*Text, error) {
	cfg := &Config{Settings: settings}
	b := &builder{request: &request{hook: &hook{cfg: cfg}, cfg: cfg}}
	t := &Text{text: b.text("", source, httpclient.PlaceText), request: b.request}
	if len(b.problems) > 0 {
		return nil, errors.New(b.problems[0].text)
	}
	return t, nil
}

// Names returns the names of the placeholders, each once, in the order of their first use. Those of settings are not
// among them.
func (t *Text) Names() []string {
	return slices.DeleteFunc(t.text.Names(), func(name string) bool {
		_, own := t.request.cfg.Settings[name]
		return own
	})
}

// Unclosed returns the words that follow a percent sign as the name of a placeholder does, without one that closes it.
func (t *Text) Unclosed() []string { return t.text.Unclosed() }

// Fill returns the text with the values of an event. Each value passes through escape; nil leaves it as it is.
func (t *Text) Fill(ev *Event, escape func(string) string) string {
	v := view{t.request, ev}
	if escape == nil {
		return string(t.text.append(nil, v))
	}
	return string(t.text.AppendNth(nil, func(n int) string { return escape(textOf(v.value(&t.text.holes[n]))) }))
}

// Condition is a condition over the parameters of an event, as in the key when of a hook. It is immutable.
type Condition struct{ condition *condition }

// ParseCondition parses a condition. A parameter that an event does not have is 0, false or an empty text.
func ParseCondition(text string) (*Condition, error) {
	c, err := parseCondition(text)
	if err != nil {
		return nil, err
	}
	return &Condition{c}, nil
}

// Names returns the parameters that the condition names, sorted.
func (c *Condition) Names() []string { return slices.Sorted(maps.Keys(c.condition.zero)) }

// Holds reports whether an event meets the condition.
func (c *Condition) Holds(ev *Event) (bool, error) { return c.condition.holds(ev) }
