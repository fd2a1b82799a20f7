package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

// one is the result of one session.
type one struct {
	from    time.Duration // since the first session
	took    time.Duration
	status  string // RINGHOOK_STATUS, empty if it was not set
	refused bool   // with FAILURE
	err     error
}

// calls numbers the calls of this process, so that each has another caller.
var calls atomic.Int64

// play makes calls at a rate, whatever the server does, and returns the result of each.
// A call that is refused has not failed.
func play(ctx context.Context, s *server, point string, rate float64, length time.Duration, before func(uniqueid string)) ([]one, error) {
	n := int(rate * length.Seconds())
	all := make([]one, n)
	began := time.Now()
	var under sync.WaitGroup
	for i := range all {
		at := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		under.Go(func() { all[i] = call(ctx, s, point, began, before) })
	}
	under.Wait()
	for _, o := range all {
		if o.err != nil {
			return nil, o.err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return all, nil
}

func call(ctx context.Context, s *server, point string, began time.Time, before func(uniqueid string)) (o one) {
	n := calls.Add(1)
	id := fmt.Sprintf("bench-%d.%d", epoch, n) // with a system name: ENTITYID need not be read
	if before != nil {
		before(id)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	result, err := asterisk.Call(ctx, s.addr, asterisk.CallRequest{
		Env: fastagi.Env{
			Point: point, Channel: "PJSIP/bench", UniqueID: id, CallerNum: fmt.Sprintf("+4930%07d", 2_000_000+n%1_000_000),
			Args: []string{"linkedid=" + id, "visit=", "ring=", "agent_phone=101", "queue_id=500"},
		},
	})
	o = one{from: start.Sub(began), took: time.Since(start), refused: result.Status == "FAILURE" && err == nil, err: err}
	for _, v := range result.Set {
		if v.Name == "RINGHOOK_STATUS" {
			o.status = v.Value
		}
	}
	if err == nil && !o.refused && o.status == "" {
		o.err = errors.New("a session ended without RINGHOOK_STATUS")
	}
	return o
}

var epoch = time.Now().Unix()

// receiver takes events in this process, which knows when each call began.
type receiver struct {
	url  string
	mu   sync.Mutex
	open map[string]time.Time // of the calls whose event is still to come, guarded by mu
	took []float64            // microseconds, guarded by mu
}

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String() + "/event", open: map[string]time.Time{}}
	go fasthttp.Serve(l, r.take) //nolint:errcheck // it ends with the process
	return r, nil
}

func (r *receiver) take(ctx *fasthttp.RequestCtx) {
	now := time.Now()
	var event struct {
		UniqueID string `json:"uniqueid"`
	}
	if err := json.Unmarshal(ctx.PostBody(), &event); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if began, ok := r.open[event.UniqueID]; ok {
		r.took = append(r.took, float64(now.Sub(began).Nanoseconds())/1000)
		delete(r.open, event.UniqueID)
	}
}

// deliveries makes calls, and returns the time of each from its beginning to its delivery,
// in microseconds.
func (r *receiver) deliveries(ctx context.Context, s *server, rate float64, length time.Duration) ([]float64, error) {
	_, err := play(ctx, s, "agent-dial", rate, length, func(uniqueid string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open[uniqueid] = time.Now()
	})
	if err != nil {
		return nil, err
	}
	late := time.After(time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		r.mu.Lock()
		missing, took := len(r.open), r.took
		if missing == 0 {
			r.took = nil
		}
		r.mu.Unlock()
		if missing == 0 {
			return took, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-late:
			return nil, fmt.Errorf("%d events did not come within a minute", missing)
		}
	}
}
