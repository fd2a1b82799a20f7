package hooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"time"

	"ringhook/failpoint"
	"ringhook/httpclient"
)

// resetWithin is the time within which a connection must break for a second try at once: it was most likely idle, and
// closed by the receiver at the moment when it was used again.
const resetWithin = time.Second

// DeliveryLabel is the label of a goroutine while it attempts a delivery, with the number of the delivery as its value. If the
// process crashes, the traceback shows it.
const DeliveryLabel = "delivery"

// work attempts deliveries until it is stopped. What it has not begun when it is stopped, or when the breaker opens, stays
// pending.
func (s *sender) work(stopping context.Context) {
	noted := make(chan struct{}, 1)
	for d := range s.feed.jobs {
		if stopping.Err() != nil {
			continue
		}
		if s.paused.Load() {
			s.results <- finished{result: Result{Delivery: d.ID}, unsent: true}
			continue
		}
		runtime.Gosched() // sessions that are ready to run come first
		f := s.attempt(&d)
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

// attempt tries a delivery once, and decides its next state.
func (s *sender) attempt(d *Delivery) finished {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(DeliveryLabel, strconv.FormatInt(d.ID, 10))))
	started := time.Now()
	o := s.try(&d.Event, started)
	ended := time.Now()
	s.metrics.duration.WithLabelValues(s.hook.name, metricOutcomes[o.class]).Observe(ended.Sub(started).Seconds())
	if d.Attempts > 0 {
		s.metrics.retries.WithLabelValues(s.hook.name).Inc()
	}
	r := Result{Delivery: d.ID, State: Dead, Attempt: Attempt{
		Started: started, Took: ended.Sub(started), Class: o.class, Status: o.status, Excerpt: s.excerpt(&o),
	}}
	switch o.class {
	case classDelivered:
		r.State = Delivered
	case classPoison, classGone:
	default:
		if next, ok := s.hook.next(d, d.Attempts+1, o, ended); ok {
			r.State, r.Next = Pending, next
		}
	}
	return finished{result: r, outcome: o}
}

// try sends the request. Rendering is the only part that depends on the content
// of the event; a panic there would happen again with every attempt.
func (s *sender) try(ev *Event, started time.Time) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in delivery", "event_id", ev.ID, "event", ev.Name, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			o = outcome{class: classPoison, text: fmt.Sprintf("panic: %v", p)}
		}
	}()
	if failpoint.On {
		_ = failpoint.Hit(failpoint.AttemptOf(ev.Name))
	}
	req, err := s.hook.request(ev, started)
	if err != nil {
		return outcome{class: classPoison, text: err.Error()}
	}
	deadline := started.Add(s.hook.cfg.Timeout)
	token := ""
	if s.tokens != nil {
		if token, err = s.tokens.Get(deadline); err != nil {
			return outcomeOf(nil, err, time.Now())
		}
		req.Header = append(req.Header, [2]string{"Authorization", "Bearer " + token})
	}
	_ = failpoint.Hit(failpoint.AttemptBeforeSend)
	resp, err := s.send(req, deadline)
	_ = failpoint.Hit(failpoint.AttemptAfterSend)
	var failure *httpclient.Error
	if errors.As(err, &failure) && failure.Class == httpclient.ClassReset && time.Since(started) < resetWithin {
		req.Fresh = true
		resp, err = s.send(req, deadline)
	}
	o = outcomeOf(resp, err, time.Now())
	if token != "" && o.status == http.StatusUnauthorized {
		s.tokens.Forget(token)
	}
	return o
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
