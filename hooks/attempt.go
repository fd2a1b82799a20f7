package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"ringhook/failpoint"
	"ringhook/httpclient"
)

// resetWithin is the time within which a connection must break for a second try at once: it was most likely idle, and
// closed by the receiver at the moment when it was used again.
const resetWithin = time.Second

// DeliveryLabel is the label of a goroutine while it attempts a delivery, with the number of the delivery as its value. If
// the process crashes, the traceback shows it.
const DeliveryLabel = "delivery"

// work attempts deliveries until it is stopped. What it has not begun when it is stopped, or when the breaker opens, stays
// pending.
func (s *sender) work(stopping context.Context) {
	noted := make(chan struct{}, 1)
	for d := range s.feed.jobs {
		// The lease may end while the outbox is asked.
		if stopping.Err() != nil || s.paused.Load() || !s.stillPending(&d) || !s.lease.Valid() {
			s.results <- finished{result: Result{Delivery: d.ID}, unsent: true}
			continue
		}
		runtime.Gosched() // sessions that are ready to run come first
		f := s.attempt(&d.Delivery)
		if f.outcome.class == classGone || f.outcome.overload && f.outcome.retryAfter > 0 {
			s.paused.Store(true) // before this worker takes the next
		}
		f.noted = noted
		s.results <- f
		if f.result.State != Delivered {
			// The breaker may open: no worker continues before that is decided.
			select {
			case <-noted:
			case <-stopping.Done():
			}
		}
	}
}

// stillPending reports whether a delivery is still to be sent. If the outbox does not answer it is not, until the outbox
// returns it again.
func (s *sender) stillPending(d *job) bool {
	if time.Since(d.handed) < checkAfter {
		return true
	}
	pending, err := s.outbox.IsPending(d.ID)
	if err != nil {
		s.failures.limited.Error("pending", "cannot look a delivery up again, it waits", "delivery", d.ID, "err", err)
	}
	return pending && err == nil
}

// attempt tries a delivery once, and decides its next state.
func (s *sender) attempt(d *Delivery) finished {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(DeliveryLabel, strconv.FormatInt(d.ID, 10))))
	started := time.Now()
	ev, err := s.recall(&d.Event)
	if err != nil { // no attempt: the outbox does not answer
		return finished{result: Result{Delivery: d.ID, State: Pending, Next: started.Add(pause)}, err: err}
	}
	o := s.try(ev, started)
	if o.class == "" { // no attempt: ringhook stops
		return finished{result: Result{Delivery: d.ID, State: Pending, Next: started.Add(pause)}}
	}
	ended := time.Now()
	r := Result{Delivery: d.ID, State: Dead, Call: ev.Call(), Values: o.values, Attempt: Attempt{
		Started: started, Took: ended.Sub(started), Class: o.class, Status: o.status, Excerpt: s.excerpt(&o),
	}}
	if !unsentClasses[o.class] {
		s.metrics.duration.WithLabelValues(s.hook.name, metricOutcomes[o.class]).Observe(ended.Sub(started).Seconds())
		if d.Attempts > 0 {
			s.metrics.retries.WithLabelValues(s.hook.name).Inc()
		}
	}
	switch {
	case o.class == classDelivered:
		r.State = Delivered
	case o.class == classPoison, o.class == classGone, o.final:
	default:
		if next, ok := s.hook.next(d, d.Attempts+1, o, ended); ok {
			r.State, r.Next = Pending, next
		}
	}
	if r.State == Dead && o.class == classNeeds && s.hook.of(ev.Name).cfg.Without == withoutDrop {
		r.State = Dropped
	}
	return finished{result: r, outcome: o}
}

// recall returns the event with what earlier answers of its call left.
func (s *sender) recall(ev *Event) (*Event, error) {
	if !s.hook.remembers || s.outbox == nil {
		return ev, nil
	}
	values, err := s.outbox.Remembered(cmp.Or(s.hook.cfg.RememberedBy, s.hook.name), ev.Call())
	return ev.With(values), err
}

// missing returns the values that an event needs and does not have.
func (h *hook) missing(ev *Event) (names []string) {
	r := h.of(ev.Name)
	if r == nil || r.cfg.Without == withoutSend {
		return nil
	}
	for _, name := range r.needs {
		if v, ok := ev.Params[name]; !ok || v == "" {
			names = append(names, name)
		}
	}
	return names
}

// lacks returns the outcome of an event that needs values which are not there. Those of this hook's answers will not
// come any more: the deliveries whose answers may have them came before. Those of another hook's may.
func (h *hook) lacks(names []string) outcome {
	if by := h.cfg.RememberedBy; by != "" {
		return outcome{class: classNeeds, text: "not sent: no answer of the call to the hook " + by + " has left " + strings.Join(names, ", ")}
	}
	return outcome{class: classNeeds, final: true, text: "not sent: no answer of the call has left " + strings.Join(names, ", ")}
}

// try sends the request. Rendering is the only part that depends on the content
// of the event; a panic there would happen again with every attempt. Nothing is attempted if there is no token because
// ringhook stops: the outcome is empty then.
func (s *sender) try(ev *Event, started time.Time) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			s.failures.limited.Error("panic", "panic in delivery", "event_id", ev.ID, "event", ev.Name, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			o = outcome{class: classPoison, text: fmt.Sprintf("panic: %v", p)}
		}
	}()
	if failpoint.On {
		_ = failpoint.Hit(failpoint.AttemptOf(ev.Name))
	}
	if missing := s.hook.missing(ev); len(missing) > 0 {
		return s.hook.lacks(missing)
	}
	req, err := s.hook.request(ev, started)
	if err != nil {
		return outcome{class: classPoison, text: err.Error(), unsent: true}
	}
	closeFile, failed := s.attach(req, ev)
	if failed != nil {
		return *failed
	}
	defer closeFile()
	deadline := started.Add(s.hook.cfg.Timeout)
	token := ""
	if s.tokens != nil && !s.hook.of(ev.Name).apart {
		if token, err = s.tokens.Get(deadline); errors.Is(err, httpclient.ErrStopped) {
			return outcome{}
		} else if err != nil {
			o = outcomeOf(nil, err, time.Now())
			o.unsent = true // a request for a token may have been
			return o
		}
		s.tokens.Authorize(req, token)
	}
	_ = failpoint.Hit(failpoint.AttemptBeforeSend)
	resp, err := s.send(req, deadline)
	_ = failpoint.Hit(failpoint.AttemptAfterSend)
	var failure *httpclient.Error
	again := errors.As(err, &failure) && failure.Class == httpclient.ClassReset && time.Since(started) < resetWithin
	if again {
		req.Fresh = true
		resp, err = s.send(req, deadline)
	}
	o = outcomeOf(resp, err, time.Now())
	o.unsent = o.unsent && !again
	s.hook.of(ev.Name).read(&o, resp)
	if o.unread != nil && o.class == classDelivered && len(s.hook.of(ev.Name).cfg.Remember) > 0 {
		s.failures.limited.Warn("unread", "answer cannot be read, nothing is remembered of it", "event", ev.Name, "event_id", ev.ID, "err", o.unread)
	}
	s.clean(&o)
	if token != "" && s.tokens.Refused(resp) {
		s.tokens.Forget(token)
		if o.class == classDelivered {
			o.class, o.text = classRejected, "the answer says that the session has ended\n"+o.text
		}
	}
	return o
}

// clean replaces the secrets that the receiver repeats in what is remembered of its answer: the values are stored, shown and
// sent in later requests, which may go to other servers.
func (s *sender) clean(o *outcome) {
	for name, value := range o.values {
		clean := s.hook.answers.Replace(value)
		if s.tokens != nil {
			clean = s.tokens.MaskAnswer(clean)
		}
		if clean != value {
			o.values[name] = clean
			s.failures.limited.Warn("remember "+name, "a remembered value repeats a secret of the request, which is replaced", "name", name)
		}
	}
}

// excerpt returns what is stored of an answer or an error. It is cut after the secrets are hidden, because half a secret is
// not found.
func (s *sender) excerpt(o *outcome) string {
	text := o.text
	if s.tokens != nil {
		text = s.tokens.Mask(text)
	}
	return cutExcerpt(s.hook.mask.Replace(text))
}
