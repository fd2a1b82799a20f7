package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

// deskRate is the number of calls a second that ring at agents.
const deskRate = 50

// maxAgents is the maximum number of agents of a ringhook.
const maxAgents = 1000

// tabs are the open pages of agents, who have as many tabs each. Those of every tenth agent never read.
type tabs struct {
	ctx    context.Context
	at     string // of the desk
	n      int
	agents int
	post   http.Client

	mu       sync.Mutex
	failed   error
	began    map[string]time.Time // of the calls whose pop is still to come, by linkedid; guarded by mu
	counted  time.Time            // calls that began earlier are not counted; guarded by mu
	shown    []float64            // milliseconds from the beginning of the call's session to the pop; guarded by mu
	receipts []float64            // milliseconds that the receipt took; guarded by mu
	working  sync.WaitGroup
}

// lines is the configuration of a desk whose agents are signed in by a proxy.
func (t *tabs) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[desk]\nlisten = %q\nurl = \"http://%s\"\nproxies = [\"127.0.0.0/8\"]\nproxy_user_header = \"X-Remote-User\"\nmax_streams = %d\n", t.at, t.at, t.n)
	b.WriteString("[[pop]]\nname = \"card\"\nevents = [\"agent-dial\"]\nopen = \"frame\"\nurl = \"https://crm.example/?phone=%callerid%\"\n")
	for i := range t.agents {
		fmt.Fprintf(&b, "[[agent]]\nid = \"%d\"\nphone = \"%d\"\n", i, firstPhone+i)
	}
	return b.String()
}

// firstPhone is the phone of agent 0.
const firstPhone = 20000

// open opens the tabs, and returns when each has been greeted.
func (t *tabs) open() error {
	greeted := make(chan error, t.n)
	for i := range t.n {
		agent := i % t.agents
		conn, err := net.Dial("tcp", t.at)
		if err != nil {
			return err
		}
		t.working.Go(func() {
			<-t.ctx.Done()
			conn.Close()
		})
		if _, err := fmt.Fprintf(conn, "GET /v1/me/events HTTP/1.1\r\nHost: %s\r\nX-Remote-User: %d\r\n\r\n", t.at, agent); err != nil {
			return err
		}
		if !reads(agent) {
			greeted <- nil
			continue
		}
		t.working.Go(func() { t.read(conn, agent, greeted) })
	}
	for range t.n {
		select {
		case err := <-greeted:
			if err != nil {
				return err
			}
		case <-time.After(starts):
			return errors.New("a tab was not greeted")
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		}
	}
	return nil
}

// reads reports whether the tabs of an agent read.
func reads(agent int) bool { return agent%10 != 9 }

// read reads the stream of an agent's tab, and confirms the pops that it is to show.
func (t *tabs) read(conn net.Conn, agent int, greeted chan<- error) {
	lines := bufio.NewReaderSize(conn, 2048)
	event, stream, first := "", "", ""
	for {
		line, err := lines.ReadString('\n')
		if first == "" {
			first = strings.TrimSpace(line)
		}
		if err != nil {
			if t.ctx.Err() == nil {
				err = fmt.Errorf("the stream of agent %d ended, %s %s: %w", agent, first, event, err)
				if stream == "" {
					greeted <- err
				}
				t.fail(err)
			}
			return
		}
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || event != "hello" && event != "pop" {
			continue
		}
		var message struct {
			Stream   string `json:"stream"`
			Pop      string `json:"pop"`
			LinkedID string `json:"linkedid"`
			Lead     bool   `json:"lead"`
		}
		if err := json.Unmarshal([]byte(data), &message); err != nil {
			t.fail(fmt.Errorf("message of agent %d: %w", agent, err))
			return
		}
		if event == "hello" {
			stream = message.Stream
			greeted <- nil
		} else if message.Lead {
			t.mu.Lock()
			if began := t.began[message.LinkedID]; !began.Before(t.counted) {
				t.shown = append(t.shown, since(began))
			}
			delete(t.began, message.LinkedID)
			t.mu.Unlock()
			t.working.Go(func() { t.confirm(agent, message.Pop, stream) })
		}
	}
}

// confirm sends the receipt of a pop.
func (t *tabs) confirm(agent int, pop, stream string) {
	text, err := json.Marshal(map[string]string{"stream": stream, "fate": "shown"})
	if err != nil {
		t.fail(err)
		return
	}
	began := time.Now()
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, "http://"+t.at+"/v1/me/pops/"+pop+"/receipt", bytes.NewReader(text))
	if err != nil {
		t.fail(err)
		return
	}
	req.Header.Set("X-Remote-User", fmt.Sprint(agent))
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.post.Do(req)
	if err != nil {
		t.fail(err)
		return
	}
	said, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	// The caller may have hung up before: then the pop is over.
	if err != nil || resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusConflict {
		t.fail(fmt.Errorf("a receipt was answered %d: %s, %w", resp.StatusCode, said, err))
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.receipts = append(t.receipts, since(began))
}

// since returns the milliseconds since a time.
func since(began time.Time) float64 { return float64(time.Since(began).Nanoseconds()) / 1e6 }

// fail keeps the first error.
func (t *tabs) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil && t.ctx.Err() == nil {
		t.failed = err
	}
}

// ring plays calls that ring at the agents in turn for half a second, at both servers, until ctx ends.
func (t *tabs) ring(ctx context.Context, servers ...*server) {
	tick := time.NewTicker(time.Second / deskRate)
	defer tick.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		id, phone := fmt.Sprintf("desk-%d.%d", epoch, n), fmt.Sprint(firstPhone+n%t.agents)
		for i, s := range servers {
			under.Go(func() {
				if i == 0 && reads(n%t.agents) {
					t.mu.Lock()
					t.began[id] = time.Now()
					t.mu.Unlock()
				}
				for _, point := range []string{"agent-dial", "call-hangup"} {
					_, err := asterisk.Call(t.ctx, s.addr, asterisk.CallRequest{Env: fastagi.Env{
						Point: point, Channel: "PJSIP/desk", UniqueID: id, CallerNum: fmt.Sprintf("+4930%07d", 3_000_000+n%1_000_000),
						Args: []string{"linkedid=" + id, "visit=", "ring=", "agent_phone=" + phone, "queue_id=500"},
					}})
					if err != nil {
						t.fail(fmt.Errorf("%s of a call that rings: %w", point, err))
						return
					}
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
	}
}

// besideDesk measures points of a ringhook whose desk has -n open tabs of which a tenth never read, beside one without a
// desk. Both get the same 50 calls a second, whose pops reach the tabs of the first.
func besideDesk(ctx context.Context, b *bench) error {
	if err := tabsFit(b.n); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := newTabs(ctx, b.n)
	if err != nil {
		return err
	}
	defer t.working.Wait()
	defer cancel()
	without, with, err := b.deskServers(ctx, t)
	if err != nil {
		return err
	}
	before, _, err := with.memory()
	if err != nil {
		return err
	}
	if err := t.open(); err != nil {
		return err
	}
	after, _, err := with.memory()
	if err != nil {
		return err
	}
	each := (after - before) * 1024 / float64(b.n)
	b.add(result{What: "resident memory of an idle tab", AtOnce: fmt.Sprint(b.n), Ringhook: each, Unit: "KiB", Figure: each, Is: "KiB", AtMost: 40})
	t.working.Go(func() { t.ring(ctx, with, without) })
	for _, level := range b.levelsOr("1,16,128") {
		var rates, ratios, base []float64
		for range b.rounds {
			taken, err := b.load(ctx, lookupPoint, []*server{without, with}, level)
			if err != nil {
				return err
			}
			rates, base = append(rates, taken[1].PerSecond), append(base, taken[0].PerSecond)
			ratios = append(ratios, taken[1].PerSecond/taken[0].PerSecond)
		}
		b.add(result{What: fmt.Sprintf("a cached lookup beside %d tabs, %d calls a second", b.n, deskRate), AtOnce: level,
			Baseline: middle(base), Ringhook: middle(rates), Unit: "/s", Figure: middle(ratios), AtLeast: .97})
	}
	if err := b.popTimes(ctx, t); err != nil {
		return err
	}
	return b.report()
}

// tabsFit returns an error if the limit of open files is too small for a number of tabs.
func tabsFit(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if most := (int(limit.Cur) - 2000) / 2; n > most { // ringhook keeps the rest for its sessions and files
		return fmt.Errorf("the limit of open files, %d, allows %d tabs: give that as -n, or raise the limit", limit.Cur, most)
	}
	return nil
}

// newTabs returns n tabs that are not open, with a free address for their desk.
func newTabs(ctx context.Context, n int) (*tabs, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &tabs{
		ctx: ctx, at: l.Addr().String(), n: n, agents: min(n, maxAgents), began: map[string]time.Time{},
		post: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}, l.Close()
}

// deskServers starts a ringhook without a desk, and one with that of the tabs.
func (b *bench) deskServers(ctx context.Context, t *tabs) (without, with *server, err error) {
	crm, err := b.peer(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Few sessions, so that the limit of open files leaves room for the tabs. Both have a hook for events that do not come,
	// as most have: without any hook, points of the one without a desk make no events.
	lines := "fastagi.max_sessions = 1000\n" + crmLines(crm.url("/who"), `cache = "1h"`) +
		hookLines("others", "queue-failover", crm.url("/event"), "")
	if without, err = b.ringhook(ctx, "without", filepath.Join(b.folder, "without"), lines); err != nil {
		return nil, nil, err
	}
	with, err = b.ringhook(ctx, "with", filepath.Join(b.folder, "with"), lines+t.lines())
	return without, with, err
}

// popTimes measures pops and receipts while only the calls of ring are played.
func (b *bench) popTimes(ctx context.Context, t *tabs) error {
	// The pops of calls that began during the load before come now, and late.
	t.mu.Lock()
	t.counted, t.shown, t.receipts = time.Now(), nil, nil
	t.mu.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(max(b.each*time.Duration(b.rounds), 2*time.Second)):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return t.failed
	}
	if len(t.shown) == 0 || len(t.receipts) == 0 {
		return fmt.Errorf("only %d pops and %d receipts came", len(t.shown), len(t.receipts))
	}
	slices.Sort(t.shown)
	slices.Sort(t.receipts)
	shown, receipts := at(t.shown, .99), at(t.receipts, .99)
	b.add(result{What: fmt.Sprintf("p99 from the call's session to the pop in the tab, %d calls a second and no other load", deskRate), AtOnce: fmt.Sprint(b.n), Ringhook: shown, Unit: "ms", Figure: shown, Is: "ms"})
	b.add(result{What: "p99 of a receipt", AtOnce: fmt.Sprint(b.n), Ringhook: receipts, Unit: "ms", Figure: receipts, Is: "ms", AtMost: 250})
	return nil
}
