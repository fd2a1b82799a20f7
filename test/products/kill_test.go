package products

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ringhook/app"
	"ringhook/command"
	"ringhook/conf"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/httpclient"
	"ringhook/store"
	"ringhook/test/port"
	"ringhook/test/wait"
)

// asRinghook makes the test binary run ringhook, for tests that need a separate process.
const asRinghook = "RINGHOOK_TEST_RUN"

var build = app.Build{Version: "test"}

func TestMain(m *testing.M) {
	if os.Getenv(asRinghook) != "" {
		command.Main(build)
		return
	}
	os.Exit(m.Run())
}

// program is ringhook in a process of its own, with the configuration of a product's page.
type program struct {
	*gate
	t        *testing.T
	cfg      *conf.Config
	file     string
	agi, web string
	env      []string

	cmd *exec.Cmd
	log bytes.Buffer
}

func newProgram(t *testing.T, p *product) *program {
	t.Helper()
	g, url := newGate(t, p)
	r := &program{gate: g, t: t, cfg: configuration(t, p, url), file: filepath.Join(t.TempDir(), "ringhook.toml"), agi: port.Free(t), web: port.Free(t)}
	for i := range r.cfg.Lists {
		if list, err := neturl.Parse(r.cfg.Lists[i].URL); err == nil {
			g.lists = append(g.lists, list.Path)
		}
	}
	text, variables := pageText(t, p, url)
	for _, name := range variables {
		r.env = append(r.env, name+"="+secret)
	}
	text += fmt.Sprintf("[fastagi]\nlisten = %q\nbudget = \"5s\"\n[http]\nlisten = %q\n[store]\nfolder = \"data\"\n", r.agi, r.web)
	text += fmt.Sprintf("[[agent]]\nid = \"a101\"\nphone = \"101\"\nname = \"Agent 101\"\nids = { %s = %q }\n", p.product(), userOf("101"))
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.kill = func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	}
	return r
}

// spawn starts a command.
func (r *program) spawn(args ...string) {
	r.t.Helper()
	r.cmd = exec.Command(os.Args[0], append(args, "-c", r.file)...)
	r.cmd.Env = append(append(os.Environ(), asRinghook+"=1"), r.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// serve starts the server, and returns when it is ready.
func (r *program) serve() {
	r.t.Helper()
	r.gate.mu.Lock()
	r.killed = false
	r.gate.mu.Unlock()
	r.spawn("serve")
	wait.Until(r.t, func() bool { return r.get("/readyz") != "" || r.wasKilled() }, "ringhook is not ready:\n%s", &r.log)
}

// get returns a page of the server, empty if it does not answer 200.
func (r *program) get(path string) string {
	resp, err := http.Get("http://" + r.web + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

func (r *program) wasKilled() bool {
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	return r.killed
}

// waiting matches the metric of deliveries that wait.
var waiting = regexp.MustCompile(`(?m)^ringhook_hook_pending\{hook="[^"]+"\} [1-9]`)

// delivered reports whether no delivery waits.
func (r *program) delivered() bool {
	metrics := r.get("/metrics")
	return metrics != "" && !waiting.MatchString(metrics)
}

// arm plays one call, lets its deliveries begin after that, and has ringhook killed after one of its requests, counted
// from 1.
func (r *program) arm(n int) {
	r.t.Helper()
	r.gate.mu.Lock()
	begin := make(chan struct{})
	r.hooks, r.killAt, r.killed, r.open = 0, n, false, begin
	r.gate.mu.Unlock()
	r.playCall(fmt.Sprintf("1772442%03d.1", n))
	r.gate.mu.Lock()
	r.open = nil
	r.gate.mu.Unlock()
	close(begin)
}

// playCall plays a call that agent 101 answers, or, if the product wants none of these, one that no agent does.
func (r *program) playCall(linkedid string) {
	r.t.Helper()
	points := []string{"queue-dial", "agent-dial", "agent-answer", "agent-hangup", "queue-hangup", "call-hangup"}
	channel := map[string]string{"CHANNEL(linkedid)": linkedid, "DIALSTATUS": "ANSWER"}
	args := []string{"queue_id=500", "directid=" + trunk, "agent_phone=101"}
	if p := r.product; p.only != nil && !p.only(calls[0]) {
		points = []string{"queue-dial", "queue-hangup", "call-hangup"}
		channel, args = map[string]string{"CHANNEL(linkedid)": linkedid, "ABANDONED": "TRUE"}, args[:2]
	}
	for _, point := range points {
		delete(channel, "RINGHOOK_STATUS")
		for ctx := wait.Context(r.t); channel["RINGHOOK_STATUS"] == ""; { // a slow disk may not keep the event in time
			result, err := asterisk.Call(ctx, r.agi, asterisk.CallRequest{
				Env:       fastagi.Env{Point: point, Channel: "PJSIP/trunk", UniqueID: linkedid, CallerNum: known, DNID: trunk, Args: args},
				Variables: channel,
			})
			if err != nil {
				r.t.Fatalf("%s: %v\n%s", point, err, &r.log)
			}
			for _, v := range result.Set {
				channel[strings.TrimLeft(v.Name, "_")] = v.Value
			}
		}
	}
}

// stop ends the server, and checks that no delivery is dead or dropped.
func (r *program) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("ringhook ended with %v", err)
	}
	st, err := store.OpenTool(filepath.Join(filepath.Dir(r.file), "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	defer st.Close()
	list, err := st.Operator().List(store.Filter{States: []hooks.State{hooks.Dead, hooks.Dropped}, Limit: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range list {
		r.t.Errorf("%s of %s for %s is %v: %s", d.Event.Name, d.Event.LinkedID, d.Hook, d.State, d.Class)
	}
}

// TestKilled kills ringhook with each request of a call to each product in turn: the product has taken the request,
// and ringhook has not stored the answer, which may hold a value to remember. After the next start every request
// arrives. The journal has the call once if the product has a key against repeats, else at least once, which the
// product's page says.
func TestKilled(t *testing.T) {
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := newProgram(t, p)
			if len(r.cfg.Hooks) == 0 {
				return
			}
			defer func() {
				if t.Failed() {
					t.Logf("log:\n%s", &r.log)
				}
				r.kill()
			}()
			r.killedWithToken()
			if r.cmd == nil || r.wasKilled() {
				r.serve()
			}
			repeated := false
			for n := 1; ; n++ {
				before := r.count()
				r.arm(n)
				wait.Until(t, func() bool { return r.wasKilled() || r.delivered() }, "request %d: deliveries wait", n)
				last := !r.wasKilled()
				if !last {
					r.serve()
					wait.Until(t, r.delivered, "request %d: deliveries wait after a kill", n)
				}
				repeated = r.checkOne(n, before) > 1 || repeated
				if last {
					break
				}
			}
			if !repeated && !p.keyed {
				t.Error("no request was repeated after a kill, though nothing keeps the product from making two entries")
			}
			r.stop()
			r.fake.mu.Lock()
			defer r.fake.mu.Unlock()
			for _, problem := range r.problems {
				t.Error(problem)
			}
		})
	}
}

// killedWithToken has ringhook killed after the product has issued a token, if the page has tokens: the command that
// asks for one, or the server that needs one.
func (r *program) killedWithToken() {
	r.t.Helper()
	if !r.product.hasTokens(r.t, r.cfg) && len(r.cfg.Shared) == 0 {
		return
	}
	refreshed := ""
	for i := range r.cfg.Shared {
		a := &r.cfg.Shared[i]
		if a.OAuth2.Type != httpclient.GrantRefresh {
			continue
		}
		r.command("account", "add", a.Name, "--code", code)
		refreshed = a.Name
	}
	r.gate.mu.Lock()
	r.killTokens = true
	r.gate.mu.Unlock()
	if refreshed != "" {
		r.spawn("account", "refresh", refreshed)
	} else {
		r.serve()
		if !r.wasKilled() {
			r.mayBeKilled("1772441999.1")
		}
	}
	wait.Until(r.t, r.wasKilled, "no token was requested:\n%s", &r.log)
	if r.product.rotates {
		// The refresh token that was lost has replaced the one that is stored. It cannot be had again, which is shown.
		if shown := r.command("account", "show"); !strings.Contains(shown, "answer not stored") {
			r.t.Errorf("ringhook account show does not say that an answer was lost:\n%s", shown)
		}
		r.command("account", "add", refreshed, "--code", code)
	}
}

// command runs a command, and returns what it prints.
func (r *program) command(args ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(wait.Context(r.t), os.Args[0], append(args, "-c", r.file)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(append(os.Environ(), asRinghook+"=1"), r.env...), &out, &out
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("ringhook %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
	return out.String()
}

// mayBeKilled plays a call that the kill may interrupt: it happens with the first request that needs a token.
func (r *program) mayBeKilled(linkedid string) {
	for _, point := range []string{"queue-dial", "call-hangup"} {
		_, _ = asterisk.Call(context.Background(), r.agi, asterisk.CallRequest{
			Env:       fastagi.Env{Point: point, Channel: "PJSIP/trunk", UniqueID: linkedid, CallerNum: known, DNID: trunk, Args: []string{"queue_id=500"}},
			Variables: map[string]string{"CHANNEL(linkedid)": linkedid},
		})
	}
}

// count returns the number of entries in the journal.
func (r *program) count() int {
	r.fake.mu.Lock()
	defer r.fake.mu.Unlock()
	return len(r.entries)
}

// checkOne checks the entries since a number of them, which are those of one call, and returns their number.
func (r *program) checkOne(n, before int) int {
	r.t.Helper()
	r.fake.mu.Lock()
	defer r.fake.mu.Unlock()
	p, got := r.product, r.entries[before:]
	if len(got) == 0 || p.keyed && len(got) > 1 {
		r.t.Errorf("request %d: the journal has %d entries of the call: %+v", n, len(got), got)
	}
	for _, e := range got {
		if e.out || e.number != known && !slices.Contains(p.lacks, "number") {
			r.t.Errorf("request %d: the journal has %+v", n, e)
		}
	}
	return len(got)
}

// TestRepeatsAreNamed checks that the page of every product without a key against repeats says so.
func TestRepeatsAreNamed(t *testing.T) {
	for _, p := range all {
		page, err := os.ReadFile("../../docs/crm/" + p.name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		if !p.keyed && !strings.Contains(string(page), "[[hook]]") {
			continue // it has no journal
		}
		if named := strings.Contains(string(page), "no key against repeats"); named == p.keyed {
			t.Errorf("docs/crm/%s.md: that there is no key against repeats is said: %v; the product has one: %v", p.name, named, p.keyed)
		}
	}
}

// TestTestsAreNamed checks that the page of every product names the tests that are played with it, and no other.
func TestTestsAreNamed(t *testing.T) {
	for _, p := range all {
		page, err := os.ReadFile("../../docs/crm/" + p.name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		cfg := configuration(t, p, "http://crm.example")
		said := strings.Join(strings.Fields(string(page)), " ")
		for test, played := range map[string]bool{
			"the product down for an hour and back":  len(cfg.Hooks) > 0,
			"and ringhook killed after each request": len(cfg.Hooks) > 0,
			"a token that ends in the middle":        p.hasTokens(t, cfg),
		} {
			if strings.Contains(said, test) != played {
				t.Errorf("docs/crm/%s.md: %q is said: %v, is played: %v", p.name, test, !played, played)
			}
		}
	}
}
