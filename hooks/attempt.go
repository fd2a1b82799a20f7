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

// resetWithin is how soon a connection must have broken for a second try at
// once: it was most likely idle, and closed by the receiver at the moment when
// it was used again.
const resetWithin = time.Second

// DeliveryLabel is the label that a goroutine has while it attempts a delivery, with
// the delivery's number: should the process crash by it, the traceback tells.
const DeliveryLabel = "delivery"

// work attempts deliveries until it is stopped. What it has not begun by then,
// or when the gate shuts, stays pending.
func (s *sender) work(stopping context.Context) {
	noted := make(chan struct{}, 1)
	for d := range s.jobs {
		if stopping.Err() != nil {
			continue
		}
		if s.shut.Load() {
			s.results <- finished{result: Result{Delivery: d.ID}, unsent: true}
			continue
		}
		runtime.Gosched() // calls that are ready to go on go first
		f := s.attempt(&d)
		if f.outcome.class == classGone || f.outcome.overload && f.outcome.retryAfter > 0 {
			s.shut.Store(true) // before this worker takes the next
		}
		f.noted = noted
		s.results <- f
		if f.result.State != Delivered {
			// The gate may shut: no worker sends on before that is decided.
			select {
			case <-noted:
			case <-stopping.Done():
			}
		}
	}
}

// attempt tries a delivery once, and decides what becomes of it.
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

// try sends the request. Rendering is the only part that depends on what is in
// the event; a panic there would come back with every attempt.
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

// excerpt returns what is kept of an answer or an error. It is cut after the secrets are hidden: half of one would not be
// found.
func (s *sender) excerpt(o *outcome) string {
	text := o.text
	if s.tokens != nil {
		text = s.tokens.Mask(text)
	}
	return cutExcerpt(s.hook.mask.Replace(text))
}
