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

// HookState is what a hook knows of its receiver and keeps over a restart, so that a receiver that fails, or wants no more
// events, is not tried all over again. If nothing is wrong it has nothing but Hook.
type HookState struct {
	Hook     string
	Receiver string    // a digest of the URL for which this is true
	Since    time.Time // of the first failure after the last success
	Failures int       // since then, counted to 10
	Class    string    // of one of them
	Until    time.Time // nothing is sent before
	Opened   int       // how often the circuit breaker has opened since the last success
	// Disabled is why nothing is sent until an operator enables the hook: Gone or Silent, empty if it is not disabled.
	Disabled   string
	DisabledAt time.Time
}

// The reasons for which a hook is disabled.
const (
	Gone   = classGone // its receiver answered 410
	Silent = "silent"  // its receiver accepted nothing for silentFor
)

// Reasons are the reasons for which a hook is disabled, in words.
var Reasons = map[string]string{
	Gone:   "its receiver answered 410, which means that it wants no more events",
	Silent: "its receiver accepted nothing for five days",
}

// A receiver that has accepted nothing for silentFor, and has failed minSilentFailures times at least, is taken to be gone.
const (
	silentFor         = 120 * time.Hour
	minSilentFailures = 10
)

// Events that ringhook makes about itself have names with this prefix. Only hooks that name them get them: "*" means what
// happens to calls.
const (
	ownEvents = "ringhook."
	// HookDisabled is the event of a hook that is disabled. The parameter hook is its name, and reason says why.
	HookDisabled = ownEvents + "hook_disabled"
)

// receiver identifies the receiver. The URL itself may hold a secret.
func (h *hook) receiver() string {
	sum := sha256.Sum256([]byte(h.address))
	return hex.EncodeToString(sum[:8])
}

// state returns what of the breaker is worth storing.
func (b *breaker) state(now time.Time) (st HookState) {
	if b.disabled == "" && b.opens == 0 && b.failures < minSilentFailures && !now.Before(b.until) {
		return st
	}
	return HookState{
		Since: stored(b.since), Failures: b.failures, Class: b.class, Until: stored(b.until), Opened: b.opens,
		Disabled: b.disabled, DisabledAt: stored(b.disabledAt),
	}
}

// stored returns a time as it is read back: in milliseconds.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli())
}

// restore continues where the breaker of an earlier process ended. A clock that was set back since does not keep it open for
// longer than any breaker is.
func (b *breaker) restore(st *HookState, now time.Time) {
	*b = breaker{
		since: st.Since, failures: st.Failures, class: st.Class, until: st.Until, opens: st.Opened, halfOpen: st.Opened > 0,
		disabled: st.Disabled, disabledAt: st.DisabledAt,
	}
	if latest := now.Add(longestWait); b.until.After(latest) {
		b.until = latest
	}
	if b.since.After(now) {
		b.since = now
	}
}

// restoreState reads the stored state of the hook, and reports whether the outbox answered. What was true of another URL is
// forgotten.
func (s *sender) restoreState() bool {
	st, err := s.outbox.State(s.hook.name)
	s.failures.outbox(err)
	if err != nil {
		return false
	}
	st.Hook = s.hook.name
	s.stored = st
	if st.Receiver != s.hook.receiver() {
		if st.Disabled != "" {
			s.log.Info("hook is enabled again, since its URL has changed")
		}
		st = HookState{}
	}
	s.breaker.restore(&st, time.Now())
	s.showDisabled()
	s.showBlocked()
	return true
}

// blocked is for how long the breaker lets nothing be sent.
type blocked struct {
	disabled string    // why nothing is sent until an operator enables the hook; empty if it is not disabled
	until    time.Time // nothing is sent before
}

// showBlocked shows the present state of the breaker, which only run may read, to attempts of Once.
func (s *sender) showBlocked() {
	now := blocked{s.breaker.disabled, s.breaker.until}
	if shown := s.blocked.Load(); shown == nil || *shown != now {
		s.blocked.Store(&now)
	}
}

// blockedBy returns why nothing is sent now, nil if something may be.
func (s *sender) blockedBy(now time.Time) error {
	switch b := s.blocked.Load(); {
	case b == nil:
	case b.disabled != "":
		return fmt.Errorf("disabled: %s", Reasons[b.disabled])
	case now.Before(b.until):
		return fmt.Errorf("paused: nothing is sent until %s", b.until.Format(time.DateTime))
	}
	return nil
}

// disable sends nothing more until an operator enables the hook.
func (s *sender) disable(now time.Time, reason string) {
	s.breaker.disabled, s.breaker.disabledAt = reason, now
	s.showDisabled()
	s.log.Error("hook is disabled", "reason", reason, "because", Reasons[reason], "hint", "ringhook hook enable "+s.hook.name+" sends to it again")
}

func (s *sender) showDisabled() {
	value := 0.0
	if s.breaker.disabled != "" {
		value = 1
	}
	s.metrics.disabled.WithLabelValues(s.hook.name).Set(value)
}

// storeState stores the state of the hook if it has changed. It is called after each result, and mostly finds no change.
func (s *sender) storeState(ctx context.Context) {
	st := s.breaker.state(time.Now())
	st.Hook = s.hook.name
	if st != (HookState{Hook: st.Hook}) {
		st.Receiver = s.hook.receiver()
		if s.stored.Class != "" {
			st.Class = s.stored.Class // of one of the failures
		}
	}
	if st == s.stored || !s.lease.Valid() { // another server may have stored what it knows
		return
	}
	var notice *Event
	var routes []Route
	if st.Disabled != "" && s.stored.Disabled == "" {
		notice = DisabledEvent(st.Hook, st.Disabled, st.DisabledAt)
		routes = s.others(notice)
	}
	if err := s.outbox.SetState(ctx, st, notice, routes); err != nil {
		s.failures.outbox(err)
		return
	}
	s.stored = st
	for _, r := range routes {
		s.dispatcher.Load().Wake(r.Hook)
	}
}

// others returns the routes of an event about this hook to other hooks.
func (s *sender) others(ev *Event) []Route {
	return slices.DeleteFunc(s.dispatcher.Load().Match(ev), func(r Route) bool { return r.Hook == s.hook.name })
}

// enabled reports whether an operator has enabled the hook since it was disabled, as the outbox knows.
func (s *sender) enabled() bool {
	if s.stored.Disabled == "" {
		return false // it is not stored yet that it is disabled
	}
	st, err := s.outbox.State(s.hook.name)
	if err != nil || st.Disabled != "" {
		return false
	}
	s.breaker, s.stored = breaker{}, HookState{Hook: s.hook.name}
	s.showDisabled()
	s.log.Info("hook is enabled again")
	return true
}

// attemptWanted reports whether an operator wants an attempt although the breaker is open, as the outbox knows. The outbox
// is asked at most once per pause, not for each delivery.
func (s *sender) attemptWanted(now time.Time) bool {
	if now.Before(s.asked.Add(pause)) {
		return false
	}
	s.asked = now
	st, err := s.outbox.State(s.hook.name)
	if err != nil || !st.Until.Before(s.stored.Until) {
		return false
	}
	s.stored = st
	s.breaker.tryNow()
	s.log.Info("hook is attempted now, since an operator wants it")
	return true
}

// DisabledEvent returns the event of a hook that was disabled. The same hook, disabled at the same time, has
// the same event.
func DisabledEvent(hook, reason string, at time.Time) *Event {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", HookDisabled, hook, at.UnixMilli()))
	id := "msg_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
	return &Event{
		ID: id, Name: HookDisabled, Time: at,
		Params: map[string]any{
			"event": HookDisabled, "event_id": id, "time": at.Format(time.RFC3339), "hook": hook, "reason": reason,
		},
	}
}
