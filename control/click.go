package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/dialplan"
	"ringhook/store/desk"
)

// ClickConfig is the [click] table: calls that agents begin by a command, and transfers.
type ClickConfig struct {
	// Context is where numbers are dialled, and the destinations of transfers are.
	Context string `toml:"context"`
	// Repeat is the time in which a second request of an agent for the same number is refused.
	Repeat time.Duration `toml:"repeat"`
	// Timeout is the longest that the agent's phone rings.
	Timeout time.Duration `toml:"timeout"`
	// CallerID is the number of the call. Empty is the agent's phone.
	CallerID string `toml:"caller_id"`
	// To are patterns of numbers that may be dialled: * is any text, ? one character.
	To []string `toml:"to"`
}

// DefaultClick returns the settings without a [click] table.
func DefaultClick() ClickConfig {
	return ClickConfig{Context: "ringhook-desk", Repeat: 30 * time.Second, Timeout: 30 * time.Second, To: []string{"*"}}
}

var contextPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,79}$`)

// Check reports every setting that cannot work.
func (k *ClickConfig) Check(report func(key, problem string)) {
	if !contextPattern.MatchString(k.Context) {
		report("context", fmt.Sprintf("%q is not the name of a context: letters, digits, _, . and -", k.Context))
	}
	if k.Repeat < 0 || k.Repeat > time.Hour {
		report("repeat", "must be 0s to 1h")
	}
	if k.Timeout < time.Second || k.Timeout > 5*time.Minute {
		report("timeout", "must be 1s to 5m")
	}
	if k.CallerID != "" && !switching.Digits(k.CallerID) {
		report("caller_id", fmt.Sprintf("%q is not a number", k.CallerID))
	}
	for _, pattern := range k.To {
		if _, err := path.Match(pattern, ""); err != nil || strings.Trim(pattern, "0123456789+*#?") != "" || pattern == "" {
			report("to", fmt.Sprintf("%q is not a pattern of digits, such as +49* or 1??", pattern))
		}
	}
}

// DialRequest asks to call a number for an agent: first the agent's phone, then the number.
type DialRequest struct {
	Agent  string `json:"-"` // id
	Server string `json:"-"`
	Number string `json:"number"`
	// RequestID makes a repeated request return the first one's call. At most 100 characters.
	RequestID string `json:"request_id,omitempty"`
	// CallerID is the number that the call has, instead of [click] caller_id.
	CallerID string `json:"caller_id,omitempty"`
	// Params are parameters of the call's events, such as the id that a CRM has for the call.
	Params map[string]string `json:"-"`
}

// DialResult is a call that has begun.
type DialResult struct {
	Server   string `json:"server"`
	LinkedID string `json:"linkedid"`
	Number   string `json:"number"` // as it is dialled
	// Stage is phone or number, and State how far the stage has come.
	Stage string `json:"stage"`
	State string `json:"state"`
}

// Status returns the status of HTTP.
func (DialResult) Status() int { return http.StatusAccepted }

// signTime is the longest that a click waits for the first sign of the phone. Ringing and refusal take
// some milliseconds.
const signTime = 2 * time.Second

// Dial calls a number for an agent. It returns as soon as the phone rings; the rest is traced and recorded.
func (c *Control) Dial(ctx context.Context, who Actor, in DialRequest) (DialResult, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "dial", at, func(ctx context.Context) (r DialResult, err error) {
		settings, a, err := c.subject(who, "dial", in.Agent)
		if err != nil {
			return r, err
		}
		d, s, err := c.dialling(ctx, settings, a, in)
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		r = DialResult{Server: s.config.Name, LinkedID: d.ID, Number: d.dialled, Stage: switching.StagePhone}
		keys := []string{"number " + a.ID + " " + d.dialled}
		if in.RequestID != "" {
			keys = append(keys, "request "+who.Name+" "+in.RequestID)
		}
		running, ok := c.clicks.reserve(keys, d.ID, settings.Click.Repeat)
		if !ok {
			if running == "" {
				return r, errorf(Busy, "too many calls were begun")
			}
			return r, &Error{Code: Repeat, Text: "the call has begun already, as " + running}
		}
		at.calls = []touched{{s.config.Name, d.ID, d.ID, d.Channel, nil}}
		c.expect(d.ID, in.Params)
		course, err := switching.Start(ctx, s.client, d.Dial)
		if err != nil {
			if !ami.MayHaveRun(err) {
				c.clicks.release(keys)
			}
			return r, switched(err)
		}
		sign, cancel := context.WithTimeout(ctx, signTime)
		defer cancel()
		outcome, final := course.Next(sign)
		if final && outcome.State == switching.Lost { // the phone may ring: a second call is a repeat
			course.Close()
			return r, &Error{Away, "the connection to Asterisk was lost; how far the call came is not known", ami.ErrLost}
		}
		if final && outcome.State != switching.Answered {
			course.Close()
			c.clicks.release(keys)
			return r, errorf(NoPhone, "%s", explain(outcome))
		}
		r.Stage, r.State = outcome.Stage, outcome.State
		if final {
			course.Close()
			return r, nil
		}
		c.background(func(ctx context.Context) { c.follow(ctx, who, at.calls[0], course) })
		return r, nil
	})
}

// dialling is a checked request.
type dialling struct {
	switching.Dial
	dialled string
}

func (c *Control) dialling(ctx context.Context, settings *Settings, a *dialplan.Agent, in DialRequest) (d dialling, s *server, err error) {
	dialled, why := settings.numbers.Dialled(in.Number)
	switch {
	case why != "":
		return d, nil, errorf(BadRequest, "number %s", why)
	case len(in.RequestID) > 100:
		return d, nil, errorf(BadRequest, "request_id has more than 100 bytes")
	case in.CallerID != "" && !switching.Digits(in.CallerID):
		return d, nil, errorf(BadRequest, "caller_id is not a number")
	}
	reached, err := c.reach(ctx, in.Server)
	if err != nil {
		return d, nil, err
	}
	device := deviceOf(a)
	if s, err = reached.one(); err != nil {
		s, err = reached.only("phone "+device, func(s *state) bool { return s.devices[device] != "" && s.devices[device] != "unavailable" })
	}
	if err != nil {
		return d, nil, err
	}
	to, err := switching.Check(ctx, s.client, settings.Click.Context, dialled)
	if err != nil {
		return d, nil, switched(unsent(err))
	}
	number := in.CallerID
	if number == "" {
		number = settings.Click.CallerID
	}
	if number == "" {
		number = a.Phone
	}
	return dialling{switching.Dial{
		ID: switching.NewID(), Channel: device, To: to, Name: a.Name, Number: number, Timeout: settings.Click.Timeout,
	}, dialled}, s, nil
}

// explain says in words which stage of a call failed, and why.
func explain(o switching.Outcome) string {
	what := "the agent's phone"
	if o.Stage == switching.StageNumber {
		what = "the number"
	}
	why := o.State
	if o.Cause != 0 {
		why += fmt.Sprintf(", cause %d %s", o.Cause, text(o.Text))
	}
	if o.SIP != 0 {
		why += fmt.Sprintf(", SIP %d", o.SIP)
	}
	return fmt.Sprintf("%s (stage %s): %s", what, o.Stage, why)
}

// follow watches a call that has begun, to its result, which is logged, traced and recorded.
func (c *Control) follow(ctx context.Context, who Actor, call touched, course *switching.Course) {
	defer course.Close()
	began := time.Now()
	for {
		outcome, final := course.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if !final {
			continue
		}
		c.trace(who, "dial", call, outcome.State, explain(outcome), began, time.Since(began))
		c.log.Log(ctx, slog.LevelInfo, "call that an agent began", "linkedid", call.linkedID, "by", who.Name, "stage", outcome.Stage,
			"state", outcome.State, "cause", outcome.Cause, "took", time.Since(began).Round(time.Millisecond))
		c.recordOutcome(who, call, outcome, began)
		return
	}
}

// clicks remembers the calls that were begun, so that a repeated request begins none.
type clicks struct {
	mu    sync.Mutex
	begun map[string]click // guarded by mu
}

type click struct {
	linkedID string
	until    time.Time
}

// maxClicks bounds the requests that are remembered.
const maxClicks = 10000

// reserve remembers a call by its keys. If one of them is known, it returns that call; "" if there are too many.
func (k *clicks) reserve(keys []string, linkedID string, long time.Duration) (running string, ok bool) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		if was, found := k.begun[key]; found && now.Before(was.until) {
			return was.linkedID, false
		}
	}
	if len(k.begun) >= maxClicks {
		for key, c := range k.begun {
			if !now.Before(c.until) {
				delete(k.begun, key)
			}
		}
		if len(k.begun) >= maxClicks {
			return "", false
		}
	}
	if k.begun == nil {
		k.begun = map[string]click{}
	}
	for _, key := range keys {
		k.begun[key] = click{linkedID, now.Add(long)}
	}
	return linkedID, true
}

// release forgets a call that has failed.
func (k *clicks) release(keys []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		delete(k.begun, key)
	}
}

// expect adds the parameters of a call to its events. They are stored, because ringhook may end before the call's first
// point. If that fails, the call is made all the same.
func (c *Control) expect(linkedID string, params map[string]string) {
	if len(params) == 0 || c.calls == nil {
		return
	}
	c.calls.Expect(linkedID, params)
	if c.desk == nil {
		return
	}
	if err := c.desk.AddExpected(desk.Expected{Call: linkedID, Params: params, At: time.Now()}); err != nil {
		c.limited.Warn("expected", "cannot store the parameters of a call that begins", "linkedid", linkedID, "err", err)
	}
}

// expectAgain restores the parameters of calls that began within a time: while ringhook did not run, or by another node.
func (c *Control) expectAgain(within time.Duration) {
	list, err := c.desk.Expected(time.Now().Add(-within))
	if err != nil {
		c.limited.Warn("expect again", "cannot read the parameters of calls", "err", err)
	}
	for _, e := range list {
		c.calls.Expect(e.Call, e.Params)
	}
}
