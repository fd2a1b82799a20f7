package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// HookState is what a hook knows of its receiver and keeps over a restart, so that
// one that is away or wants no more is not asked all over again. Where nothing
// is wrong it has nothing but Hook.
type HookState struct {
	Hook     string
	Receiver string    // a digest of the URL of which this is true
	Since    time.Time // of the first failure after the last success
	Failures int       // since then, counted to 10
	Class    string    // of one of them
	Until    time.Time // nothing is sent before
	Opened   int       // how often the gate was shut since the last success
	// Disabled is why nothing is sent at all until somebody enables the hook:
	// Gone or Silent, empty where it is not.
	Disabled   string
	DisabledAt time.Time
}

// The reasons for which a hook is disabled.
const (
	Gone   = classGone // its receiver answered 410
	Silent = "silent"  // its receiver took nothing for silentFor
)

// Reasons says for people why a hook is disabled.
var Reasons = map[string]string{
	Gone:   "its receiver answered 410, which says that it wants no more",
	Silent: "its receiver took nothing for five days",
}

// A receiver that has taken nothing for silentFor, and failed enoughFailures
// times at least, is taken to be no more.
const (
	silentFor      = 120 * time.Hour
	enoughFailures = 10
)

// The events that ringhook makes of itself have names that begin so. Only who
// names them gets them: "*" means what happens to calls.
const (
	ownEvents = "ringhook."
	// HookDisabled tells that a hook is sent no more: its name is in the parameter hook,
	// and in reason why.
	HookDisabled = ownEvents + "hook_disabled"
)

// receiver tells one receiver from another. The URL itself may hold a secret.
func (h *hook) receiver() string {
	sum := sha256.Sum256([]byte(h.address))
	return hex.EncodeToString(sum[:8])
}

// standing is what of the gate is worth keeping.
func (g *gate) state(now time.Time) (st HookState) {
	if g.disabled == "" && g.shuts == 0 && g.failures < enoughFailures && !now.Before(g.until) {
		return st
	}
	return HookState{
		Since: whole(g.since), Failures: g.failures, Class: g.class, Until: whole(g.until), Opened: g.shuts,
		Disabled: g.disabled, DisabledAt: whole(g.disabledAt),
	}
}

// whole is a time as it is stored.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli())
}

// restore has the gate go on where that of an earlier process ended. A clock
// that was set back meanwhile does not keep it shut for longer than any gate
// is.
func (g *gate) restore(st *HookState, now time.Time) {
	*g = gate{
		since: st.Since, failures: st.Failures, class: st.Class, until: st.Until, shuts: st.Opened, probing: st.Opened > 0,
		disabled: st.Disabled, disabledAt: st.DisabledAt,
	}
	if latest := now.Add(longestWait); g.until.After(latest) {
		g.until = latest
	}
	if g.since.After(now) {
		g.since = now
	}
}

// recall takes over what is kept of the hook. What was true of another URL is
// forgotten.
func (s *sender) recall() bool {
	st, err := s.outbox.State(s.hook.name)
	s.trouble.outbox(s.log, err)
	if err != nil {
		return false
	}
	st.Hook = s.hook.name
	s.kept = st
	if st.Receiver != s.hook.receiver() {
		if st.Disabled != "" {
			s.log.Info("hook is enabled again, since its URL is another")
		}
		st = HookState{}
	}
	s.gate.restore(&st, time.Now())
	s.showDisabled()
	return true
}

// disable sends nothing more until somebody enables the hook.
func (s *sender) disable(now time.Time, reason string) {
	s.gate.disabled, s.gate.disabledAt = reason, now
	s.showDisabled()
	s.log.Error("hook is disabled: ringhook hook enable sends to it again", "reason", reason, "because", Reasons[reason])
}

func (s *sender) showDisabled() {
	value := 0.0
	if s.gate.disabled != "" {
		value = 1
	}
	s.metrics.disabled.WithLabelValues(s.hook.name).Set(value)
}

// remember keeps how the hook stands, where that has changed. It is asked after
// each result, and seldom has anything to do.
func (s *sender) remember(ctx context.Context) {
	st := s.gate.state(time.Now())
	st.Hook = s.hook.name
	if st != (HookState{Hook: st.Hook}) {
		st.Receiver = s.hook.receiver()
		if s.kept.Class != "" {
			st.Class = s.kept.Class // any of them will do
		}
	}
	if st == s.kept {
		return
	}
	var told *Event
	var routes []Route
	if st.Disabled != "" && s.kept.Disabled == "" {
		told = disabledEvent(&st)
		routes = s.others(told)
	}
	if err := s.outbox.SetState(ctx, st, told, routes); err != nil {
		s.trouble.outbox(s.log, err)
		return
	}
	s.kept = st
	for _, r := range routes {
		s.dispatcher.Load().Wake(r.Hook)
	}
}

// others returns the routes of an event about this hook to other hooks.
func (s *sender) others(ev *Event) []Route {
	return slices.DeleteFunc(s.dispatcher.Load().Match(ev), func(r Route) bool { return r.Hook == s.hook.name })
}

// enabled tells whether somebody has enabled the hook meanwhile, which the outbox
// knows.
func (s *sender) enabled() bool {
	if s.kept.Disabled == "" {
		return false // it is not kept yet that it is disabled
	}
	st, err := s.outbox.State(s.hook.name)
	if err != nil || st.Disabled != "" {
		return false
	}
	s.gate, s.kept = gate{}, HookState{Hook: s.hook.name}
	s.showDisabled()
	s.log.Info("hook is enabled again")
	return true
}

// wanted tells whether an operator wants an attempt though the gate is shut: the
// outbox then says so. It is asked once in a while, not with each delivery that comes meanwhile.
func (s *sender) wanted(now time.Time) bool {
	if now.Before(s.asked.Add(pause)) {
		return false
	}
	s.asked = now
	st, err := s.outbox.State(s.hook.name)
	if err != nil || !st.Until.Before(s.kept.Until) {
		return false
	}
	s.kept = st
	s.gate.open()
	s.log.Info("hook is attempted at once, since an operator wants it")
	return true
}

// disabledEvent is what others are told of a hook that was disabled.
func disabledEvent(st *HookState) *Event {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", HookDisabled, st.Hook, st.DisabledAt.UnixMilli()))
	id := "msg_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
	return &Event{
		ID: id, Name: HookDisabled, Time: st.DisabledAt,
		Params: map[string]any{
			"event": HookDisabled, "event_id": id, "time": st.DisabledAt.Format(time.RFC3339),
			"hook": st.Hook, "reason": st.Disabled,
		},
	}
}
