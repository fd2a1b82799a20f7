//go:build e2e

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/test/wait"
)

// managerConf has the account of ringhook.toml with the rights that `ringhook ami check` prints, and one with
// too few of them.
const managerConf = `[general]
enabled = yes
bindaddr = 127.0.0.1
[ringhook]
secret = lab-s3cret
deny = 0.0.0.0/0.0.0.0
deny = ::/0
permit = 127.0.0.1/255.255.255.255
read = system,call,agent
write = agent,call,originate,reporting
[lab]
secret = lab-s3cret
read = system,call,agent
write = agent,call,originate,reporting
[notify]
secret = lab-s3cret
read = system,call,agent
write = agent,call,originate,reporting,system
[poor]
secret = lab-s3cret
read = system
write = agent,reporting
`

// token is that of the HTTP API.
const token = "lab-token-0123456789"

// managerAccount checks both accounts as an administrator does.
func managerAccount(t *testing.T, l *lab) {
	f := func(user, want string, good bool) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "ringhook.toml")
		if err := os.WriteFile(file, []byte(fmt.Sprintf("[[ami]]\nusername = %q\nsecret = \"lab-s3cret\"\n", user)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(os.Getenv(binaryVariable), "-c", file, "ami", "check").CombinedOutput()
		if (err == nil) != good || !strings.Contains(string(out), want) || strings.Contains(string(out), "lab-s3cret") {
			t.Errorf("ami check as %s: %v\n%s\nwant %q", user, err, out, want)
		}
		_, section, _ := strings.Cut(string(out), "<the secret of this [[ami]] table>\n")
		if !strings.Contains(managerConf, strings.TrimSpace(section[:strings.LastIndex(section, "write")])) {
			t.Errorf("the section that is printed is not the one that is tried here:\n%s", out)
		}
	}
	f("ringhook", "all rights are there", true)
	f("poor", "missing   read=call", false)
	f("nobody", "user name or secret not accepted", false)
}

// live asks the server for its queues; false if it does not answer.
func (s *server) live() (all control.Live, ok bool) {
	req, err := http.NewRequest(http.MethodGet, "http://"+s.http+"/v1/queues?server="+s.ami, nil)
	if err != nil {
		return all, false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return all, false
	}
	defer resp.Body.Close()
	return all, resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&all) == nil
}

// lines describes queues as asteriskLines does.
func lines(all control.Live) []string {
	var lines []string
	for _, q := range all.Queues {
		for _, w := range q.Waiting {
			lines = append(lines, fmt.Sprintf("%s: %d. %s", q.ID, w.Position, w.Channel))
		}
		for _, m := range q.Members {
			lines = append(lines, fmt.Sprintf("%s: %s %s %t %d", q.ID, m.Interface, m.State, m.Paused, m.Penalty))
		}
	}
	slices.Sort(lines)
	return lines
}

var (
	color        = regexp.MustCompile("\x1b\\[[0-9;]*m")
	queueLine    = regexp.MustCompile(`^(\S+) +has \d+ calls`)
	memberLine   = regexp.MustCompile(`(?:\(|^ {6})(\S+?/\S+?)(?: from \S+)?(?:\)| )(?: ?with penalty (\d+))?.*\((Not in use|In use|Busy|Invalid|Unavailable|Ringing|Ring\+Inuse|On Hold|Unknown)\)`)
	callerLine   = regexp.MustCompile(`^ +(\d+)\. (\S+) \(wait`)
	asterisksOwn = map[string]string{"Not in use": "free", "In use": "busy", "Busy": "busy", "Invalid": "invalid", "Unavailable": "unavailable", "Ringing": "ringing", "Ring+Inuse": "ringing", "On Hold": "held", "Unknown": "unknown"}
)

// asteriskLines describes the queues as `queue show` has them.
func (a *asterisk) asteriskLines() ([]string, error) {
	out, err := a.command("-C", workplace+"/etc/asterisk.conf", "-rx", "queue show").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("queue show: %w: %s", err, out)
	}
	var lines []string
	queue := ""
	for line := range strings.Lines(color.ReplaceAllString(string(out), "")) {
		if m := queueLine.FindStringSubmatch(line); m != nil {
			queue = m[1]
		} else if m := callerLine.FindStringSubmatch(line); m != nil {
			lines = append(lines, fmt.Sprintf("%s: %s. %s", queue, m[1], m[2]))
		} else if m := memberLine.FindStringSubmatch(line); m != nil {
			penalty := m[2]
			if penalty == "" {
				penalty = "0"
			}
			lines = append(lines, fmt.Sprintf("%s: %s %s %t %s", queue, m[1], asterisksOwn[m[3]], strings.Contains(line, "(paused"), penalty))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// listed asks for the queues as the command queue list does.
func (s *server) listed() (all control.Live, err error) {
	c := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(s.folder, "ringhook.toml"), "queue", "list", "--json")
	if s.ami != "" {
		c.Args = append(c.Args, "--server", s.ami)
	}
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return all, fmt.Errorf("queue list: %w", err)
	}
	return all, json.Unmarshal(out, &all)
}

// agree compares what ringhook's API, its command queue list and Asterisk say until they agree. Calls go on meanwhile, so
// one look can differ. It returns what differs, and the number of lines that agree.
func (l *lab) agree() (differ string, same int) {
	for end := time.Now().Add(wait.Limit); ; time.Sleep(50 * time.Millisecond) {
		own, ok := l.server.live()
		if !ok {
			return "", 0 // a scenario has stopped ringhook
		}
		shown, failed := l.asterisk.asteriskLines()
		mine, late := lines(own), time.Now().After(end)
		if !late && (failed != nil || len(shown) == 0 || !slices.Equal(mine, shown)) {
			continue
		}
		all, err := l.server.listed()
		listed := lines(all)
		failed = errors.Join(failed, err)
		switch {
		case failed == nil && len(shown) > 0 && slices.Equal(mine, shown) && slices.Equal(listed, shown):
			return "", len(mine)
		case late:
			return fmt.Sprintf("%v\nthe API has %s, and not %s\nqueue list has %s, and not %s",
				failed, minus(mine, shown), minus(shown, mine), minus(listed, shown), minus(shown, listed)), 0
		}
	}
}

func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// watchQueues compares ringhook's queues with Asterisk's during all scenarios, once a second, and after them.
func (l *lab) watchQueues(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		compared := 0
		for every := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				t.Logf("ringhook's queues were compared with Asterisk's %d times", compared)
				return
			case <-every.C:
			}
			differ, same := l.agree()
			if differ != "" {
				t.Errorf("ringhook's queues are not Asterisk's: %s", differ)
			} else if same > 0 {
				compared++
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
		l.agreed(t, "all scenarios")
		l.undisturbed(t)
	})
}

// undisturbed checks that no event of Asterisk was dropped, and that the live state was never corrected.
func (l *lab) undisturbed(t *testing.T) {
	t.Helper()
	values, err := l.server.metrics()
	if err != nil {
		t.Error(err)
	}
	for series, value := range values {
		name, _, _ := strings.Cut(series, "{")
		if (name == "ringhook_ami_state_differences_total" || name == "ringhook_ami_dropped_total") && value != 0 {
			t.Errorf("%s is %v, want 0", series, value)
		}
	}
}

// late is a CRM's answer that comes long after the budget.
func late(variables ...string) http.HandlerFunc {
	answer := known(variables...)
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Second):
			answer(w, r)
		case <-r.Context().Done():
		}
	}
}

// lateName is a caller whose name comes while the first phone rings: the next one shows it.
func lateName(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, late("CALLERID(name)", "Мария Late", "call_info", "https://crm.example/?id=7,x"))
	first := l.phone(t, q.phones[0], phone{Silent: true})
	second := l.phone(t, q.phones[1], phone{Talk: time.Second})
	l.call(t, q.did, caller{Number: number, Name: "As sent"}).wait(t)

	l.crm.of(number).wait(t, "agent-answer", 1).has(t, map[string]string{
		"agent_phone": q.phones[1], "callerid_name": "Мария Late", "call_info": "https://crm.example/?id=7,x",
	})
	if got := first.headers(t, "From"); len(got) == 0 || !strings.Contains(got[0], "As sent") {
		t.Errorf("the first phone shows %q", got)
	}
	if got := second.headers(t, "From"); len(got) != 1 || !strings.Contains(got[0], "Мария Late") {
		t.Errorf("the second phone shows %q", got)
	}
}

// lateVIP is a caller of whom the CRM says too late that he comes first. Asterisk 22 moves
// him, 16 changes his number alone.
func lateVIP(t *testing.T, l *lab) {
	q := l.queue(t)
	for _, name := range q.phones {
		l.phone(t, name, phone{Silent: true})
	}
	plain, vip, after := l.caller(t), l.caller(t), l.caller(t)
	l.crm.say(vip, late("QUEUE_PRIO", "9"))
	join := func(number string, n int) {
		t.Helper()
		l.call(t, q.did, caller{Number: number, GiveUp: wait.Limit})
		l.waiting(t, q, n)
	}
	join(plain, 1)
	join(vip, 2)
	order := func() (numbers []string, priority int) {
		for _, w := range l.waiting(t, q, -1) {
			numbers = append(numbers, w.Caller)
			if w.Caller == vip {
				priority = w.Priority
			}
		}
		return numbers, priority
	}
	eventually(t, "the priority has changed", func() bool {
		_, priority := order()
		return priority == 9
	})
	want := []string{plain, vip}
	if !strings.Contains(l.asterisk.version, " 16.") {
		want = []string{vip, plain}
	}
	waits := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("callers wait in the order %v", want), func() bool {
			got, _ := order()
			return slices.Equal(got, want)
		})
	}
	waits(want...)
	join(after, 3)
	waits(append(want, after)...)
}

// waiting waits until so many callers wait in a queue, where n is negative for any number, and returns them.
func (l *lab) waiting(t *testing.T, q queue, n int) (all []control.Waiter) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d callers wait in %s", n, q.id), func() bool {
		now, ok := l.server.live()
		for _, queue := range now.Queues {
			if queue.ID == q.id {
				all = queue.Waiting
			}
		}
		return ok && (n < 0 || len(all) == n)
	})
	return all
}

// liveQueues does to waiting callers and members what AMI can do, and what Asterisk
// reports least of it: Park and Bridge of a waiting caller send no QueueCallerLeave.
func liveQueues(t *testing.T, l *lab) {
	q := l.queue(t)
	c, err := ami.New(ami.Config{Name: "lab", Address: "127.0.0.1:5038", Username: "ringhook", Secret: "lab-s3cret"}, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Once(t.Context(), func(ctx context.Context) error {
		do := func(name string, fields ...ami.Field) {
			t.Helper()
			if m, err := c.Do(ctx, ami.Action{Name: name, Fields: fields}); err != nil {
				t.Fatalf("%v: %q", err, m)
			}
		}
		agree := func(what string) {
			t.Helper()
			if differ, same := l.agree(); differ != "" || same == 0 {
				t.Errorf("after %s: %s", what, differ)
			}
		}
		waiting := func(n int) []control.Waiter {
			t.Helper()
			return l.waiting(t, q, n)
		}
		iface := ami.Field{Key: "Interface", Value: "PJSIP/" + soloPhone}
		queue := ami.Field{Key: "Queue", Value: q.id}
		do("QueueAdd", queue, iface, ami.Field{Key: "Penalty", Value: "2"}, ami.Field{Key: "MemberName", Value: "Зоя"})
		agree("QueueAdd")
		do("QueuePause", iface, ami.Field{Key: "Paused", Value: "true"}, ami.Field{Key: "Reason", Value: "обед"})
		agree("QueuePause")
		do("QueuePenalty", iface, ami.Field{Key: "Penalty", Value: "3"})
		agree("QueuePenalty")
		do("QueuePause", iface, ami.Field{Key: "Paused", Value: "false"})
		do("QueueRemove", queue, iface)
		agree("QueueRemove")

		for range 4 {
			l.call(t, q.did, caller{Number: l.caller(t), GiveUp: wait.Limit})
		}
		callers := waiting(4)
		agree("four joined")
		do("Park", ami.Field{Key: "Channel", Value: callers[1].UniqueID}, ami.Field{Key: "TimeoutChannel", Value: "PJSIP/" + soloPhone})
		callers = waiting(3)
		agree("Park")
		do("Originate", ami.Field{Key: "Channel", Value: "Local/wait@lab/n"}, ami.Field{Key: "Application", Value: "Wait"}, ami.Field{Key: "Data", Value: "20"},
			ami.Field{Key: "ChannelId", Value: "lab-" + q.id}, ami.Field{Key: "Async", Value: "true"})
		eventually(t, "the other channel is up", func() bool {
			_, err := c.Do(ctx, ami.Action{Name: "Bridge", Fields: []ami.Field{{Key: "Channel1", Value: callers[0].UniqueID}, {Key: "Channel2", Value: "lab-" + q.id}}})
			return err == nil
		})
		callers = waiting(2)
		agree("Bridge")
		do("Redirect", ami.Field{Key: "Channel", Value: callers[1].UniqueID}, ami.Field{Key: "Context", Value: "lab"}, ami.Field{Key: "Exten", Value: "wait"}, ami.Field{Key: "Priority", Value: "1"})
		callers = waiting(1)
		agree("Redirect")
		do("Hangup", ami.Field{Key: "Channel", Value: callers[0].UniqueID})
		waiting(0)
		agree("Hangup")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
