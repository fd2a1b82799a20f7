package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
)

// recordedCall is what Asterisk 22 sends of one queue call, with a Local member.
const recordedCall = "ami/amitest/testdata/22/queue-call"

// exchange plays the manager interface of a busy Asterisk in this process.
type exchange struct {
	*amitest.Server
	addr  string
	call  string // recordedCall
	calls int
}

// newExchange returns an Asterisk whose queue 501 has the members 101 to 164, each free.
func newExchange() (*exchange, error) {
	call, err := os.ReadFile(recordedCall)
	if err != nil {
		return nil, err
	}
	x := &exchange{Server: amitest.New(), call: string(call)}
	entries := []string{amitest.Text("Event: QueueParams", "Queue: 501", "Strategy: ringall"),
		amitest.Text("Event: QueueMember", "Queue: 501", "Name: ans", "Location: Local/ans@members/n", "Membership: static", "Status: 1", "Paused: 0")} // that of the recorded call
	var devices []string
	for n := range agentCount {
		device := fmt.Sprintf("PJSIP/%d", 101+n)
		devices = append(devices, amitest.Text("Event: DeviceStateChange", "Device: "+device, "State: NOT_INUSE"))
		entries = append(entries, amitest.Text("Event: QueueMember", "Queue: 501", "Name: "+device, "Location: "+device, "StateInterface: "+device, "Membership: dynamic", "Status: 1", "Paused: 0"))
	}
	x.AnswerList("QueueStatus", entries...)
	x.AnswerList("DeviceStateList", devices...)
	x.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		paused := map[string]string{"true": "1", "false": "0"}[r.Get("Paused")]
		go x.Send(amitest.Text("Event: QueueMemberPause", "Queue: "+r.Get("Queue"), "MemberName: x", "Interface: "+r.Get("Interface"), "StateInterface: "+r.Get("Interface"),
			"Membership: dynamic", "Status: 1", "Paused: "+paused, "PausedReason: "+r.Get("Reason")))
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: Interface paused successfully")
	})
	x.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: "))
	x.addr, err = x.Listen()
	return x, err
}

// agentCount is the number of agents, each of whom sends commands.
const agentCount = 64

// lines is the configuration of a ringhook that is connected to the Asterisk.
func (x *exchange) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "http.token = %q\n[[ami]]\naddress = %q\nusername = %q\nsecret = %q\n", benchToken, x.addr, amitest.Username, amitest.Secret)
	for n := range agentCount {
		fmt.Fprintf(&b, "[[agent]]\nid = \"%d\"\nphone = \"%d\"\nqueues = [\"501\"]\n", n, 101+n)
	}
	return b.String()
}

const benchToken = "bench-token-0123456789"

// play sends the events of queue calls at a rate until ctx ends, and returns the number of events of a call.
func (x *exchange) play(ctx context.Context, rate float64) (events int) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return strings.Count(x.call, "Event: ")
		case <-tick.C:
			x.calls++
			id := fmt.Sprintf("%010d", 1_800_000_000+x.calls)
			x.Send(strings.NewReplacer("1795726356.", id+".", "-00000000;", fmt.Sprintf("-%08x;", 2*x.calls), "-00000001;", fmt.Sprintf("-%08x;", 2*x.calls+1)).Replace(x.call))
		}
	}
}

// drain is a client that reads events and does nothing with them.
type drain struct{}

// Connected implements ami.Watcher.
func (drain) Connected(context.Context) error { return nil }

// Event implements ami.Watcher.
func (drain) Event(context.Context, ami.Message) {}

// Tick implements ami.Watcher.
func (drain) Tick(context.Context) {}

// Disconnected implements ami.Watcher.
func (drain) Disconnected() {}

// drained connects a client that does nothing, until the returned function is called.
func (x *exchange) drained(ctx context.Context) (stop func(), err error) {
	cfg := ami.DefaultConfig()
	cfg.Address, cfg.Username, cfg.Secret = x.addr, amitest.Username, amitest.Secret
	c, err := ami.New(cfg, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := c.Start(ctx, drain{})
	return func() { cancel(); <-done }, nil
}

// connected waits until a ringhook is connected to the Asterisk.
func (s *server) connected(ctx context.Context) error {
	for end := time.Now().Add(starts); ; {
		if one, err := s.metric(`ringhook_ami_connected{server="pbx"}`); err == nil && one == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			return errors.New("ringhook does not connect to the manager interface")
		}
	}
}

// besideManager measures points of a ringhook that is connected to an Asterisk with 10 queue calls a second, beside one
// without AMI, while a client that does nothing reads the same events.
func besideManager(ctx context.Context, b *bench) error {
	x, err := newExchange()
	if err != nil {
		return err
	}
	defer x.Close()
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	lookup := crmLines(crm.url("/who"), `cache = "1h"`)
	without, err := b.ringhook(ctx, "without", filepath.Join(b.folder, "without"), lookup)
	if err != nil {
		return err
	}
	with, err := b.ringhook(ctx, "with", filepath.Join(b.folder, "with"), x.lines()+lookup)
	if err != nil {
		return err
	}
	if err := with.connected(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var playing sync.WaitGroup
	defer playing.Wait()
	playing.Go(func() { x.play(ctx, 10) })
	defer cancel()
	stop, err := x.drained(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, level := range b.levelsOr("1,16,128") {
		var rates, ratios, base, processor []float64
		for range b.rounds {
			taken, err := b.load(ctx, lookupPoint, []*server{without, with}, level)
			if err != nil {
				return err
			}
			rates, base = append(rates, taken[1].PerSecond), append(base, taken[0].PerSecond)
			ratios, processor = append(ratios, taken[1].PerSecond/taken[0].PerSecond), append(processor, taken[1].Server.CPU-taken[0].Server.CPU)
		}
		b.add(result{What: "a cached lookup with AMI connected, 10 queue calls a second on Asterisk", AtOnce: level,
			Baseline: middle(base), Ringhook: middle(rates), Unit: "/s", Figure: middle(ratios), AtLeast: .97})
		b.add(result{What: "its processor time, above that without AMI; that of the events is in it", AtOnce: level,
			Unit: "us", Figure: middle(processor), Is: "us"})
	}
	if dropped, err := with.metric("ringhook_ami_dropped_total"); err != nil || dropped > 0 {
		return errors.Join(err, fmt.Errorf("%v events were dropped", dropped))
	}
	return b.report()
}

// commands measures commands while Asterisk has 50 queue calls a second, of which ringhook gets all events and two points
// each. Then Asterisk stands still, and is gone.
func commands(ctx context.Context, b *bench) error {
	const rate = 50
	x, err := newExchange()
	if err != nil {
		return err
	}
	defer x.Close()
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	s, err := b.ringhook(ctx, "commanded", filepath.Join(b.folder, "commanded"), x.lines()+crmLines(crm.url("/who"), `cache = "1h"`))
	if err != nil {
		return err
	}
	if err := s.connected(ctx); err != nil {
		return err
	}
	length := max(b.each, time.Second) * time.Duration(b.rounds)
	busy, cancel := context.WithCancel(ctx)
	defer cancel()
	var working sync.WaitGroup
	working.Go(func() { x.play(busy, rate) })
	var failed [2]error
	for i, point := range []string{"queue-dial", "agent-dial"} {
		working.Go(func() { _, failed[i] = play(busy, s, point, rate, length, nil) })
	}
	took, err := s.command(ctx, rate, length, http.StatusOK)
	cancel()
	working.Wait()
	for _, one := range append(failed[:], err) {
		if one != nil && !errors.Is(one, context.Canceled) {
			return one
		}
	}
	b.add(result{What: fmt.Sprintf("p99 of a pause or its end, %d a second beside %d queue calls a second", rate, rate), Ringhook: at(took, .99), Unit: "ms", Figure: at(took, .99), Is: "ms", AtMost: 100})
	b.add(result{What: "its p50", Ringhook: at(took, .5), Unit: "ms", Figure: at(took, .5), Is: "ms"})
	x.Freeze()
	time.Sleep(2 * time.Second) // what has just answered counts as alive for a second
	if took, err = s.command(ctx, 5, 4*time.Second, http.StatusServiceUnavailable); err != nil {
		return err
	}
	b.add(result{What: "the longest until 503 while Asterisk stands still", Ringhook: at(took, 1), Unit: "ms", Figure: at(took, 1), Is: "ms", AtMost: 1000})
	x.Close()
	time.Sleep(time.Second)
	if took, err = s.command(ctx, 5, 4*time.Second, http.StatusServiceUnavailable); err != nil {
		return err
	}
	b.add(result{What: "the longest until 503 while Asterisk is gone", Ringhook: at(took, 1), Unit: "ms", Figure: at(took, 1), Is: "ms", AtMost: 1000})
	return b.report()
}

// command pauses and resumes agents in turn at a rate, each with a request of its own, and returns the times in
// milliseconds, sorted.
func (s *server) command(ctx context.Context, rate float64, length time.Duration, status int) ([]float64, error) {
	n := int(rate * length.Seconds())
	took, failed := make([]float64, n), make([]error, n)
	began := time.Now()
	var under sync.WaitGroup
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		under.Go(func() {
			method := []string{http.MethodPut, http.MethodDelete}[i/agentCount%2]
			start := time.Now()
			failed[i] = s.ask(ctx, method, fmt.Sprintf("/v1/agents/%d/pause", i%agentCount), status)
			took[i] = float64(time.Since(start).Nanoseconds()) / 1e6
		})
	}
	under.Wait()
	slices.Sort(took)
	return took, errors.Join(failed...)
}

// ask sends a command, and returns an error unless it is answered with a status.
func (s *server) ask(ctx context.Context, method, path string, status int) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.web+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+benchToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !json.Valid(text) {
		return fmt.Errorf("%s %s: %d instead of %d: %.200s, %w", method, path, resp.StatusCode, status, text, err)
	}
	return nil
}
