//go:build e2e

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/store/desk"
)

// A campaign has so many open calls.
const campaignParallel = 4

// campaignConfig is the part of ringhook.toml for campaigns. A phone rings longer than a busy machine needs to stop
// ringhook.
const campaignConfig = `
[campaign]
context = "ringhook-campaign"
hours = ""
timeout = "10s"
`

// callees are those who are called, by the last digit of the number: some are busy, some decline, some do not answer.
// The others answer, and hang up.
type callees struct {
	phone
	Busy, Declines, Silent string
}

func (callees) Refusal(status string) reply { return reply{Status: status, Tag: true, Final: true} }

// result returns what becomes of a number.
func (c callees) result(number string) string {
	switch last := number[len(number)-1:]; {
	case strings.Contains(c.Busy, last):
		return "busy"
	case strings.Contains(c.Declines, last):
		return "rejected"
	case strings.Contains(c.Silent, last):
		return "no-answer"
	}
	return "answered"
}

// invited counts the calls that each number got.
func (s *sipp) invited(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, invite := range s.invites(t) {
		number, _, _ := strings.Cut(strings.TrimPrefix(invite, "sip:"), "@")
		count[number]++
	}
	return count
}

// openCalls counts the calls of campaigns that are open, by Asterisk's events.
type openCalls struct {
	silent
	mu   sync.Mutex
	now  map[string]bool // by the channel's name
	most int
}

// Event counts a first channel of a campaign's call.
func (o *openCalls) Event(_ context.Context, m ami.Message) {
	name := m.Get("Channel")
	if !strings.Contains(name, "@ringhook-campaign-") || !strings.HasSuffix(name, ";1") {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.Event() == "Hangup" {
		delete(o.now, name)
		return
	}
	o.now[name] = true
	o.most = max(o.most, len(o.now))
}

// largest returns the largest number of calls that were open at once.
func (o *openCalls) largest() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.most
}

// TestCampaign calls twenty numbers on both Asterisks. Meanwhile ringhook is killed and started again.
func TestCampaign(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newCampaignLab(t, suite)
			l.watchQueues(t)
			l.run(t, "twenty numbers", twentyNumbers)
		})
	}
}

// newCampaignLab starts an Asterisk, and a ringhook that may call numbers.
func newCampaignLab(t *testing.T, suite string) *lab {
	t.Helper()
	l := &lab{asterisk: startAsterisk(t, suite, nil), server: newServer(t, 4573, 4580), queues: labQueueList()}
	t.Log(l.asterisk.version)
	l.server.extend(t, campaignConfig)
	l.crm = newCompany(t)
	l.server.start(t)
	t.Cleanup(func() { l.server.stop() })
	l.server.awaitLive(t)
	return l
}

func twentyNumbers(t *testing.T, l *lab) {
	q := l.queue(t)
	for _, name := range q.phones {
		l.phone(t, name, phone{})
	}
	who := callees{phone: phone{Ring: 500 * time.Millisecond, Talk: 2 * time.Second}, Busy: "12", Declines: "5", Silent: "48"}
	trunk := startSIPp(t, "callees.xml", who, traced("-i", trunkIP, "-p", fmt.Sprint(sipPort))...)
	waitForUDP(t, trunkIP, sipPort)
	open := &openCalls{now: map[string]bool{}}
	watch(t, asteriskIP, "lab", open, "Newchannel", "Hangup")

	var numbers []string
	for n := range 20 {
		numbers = append(numbers, fmt.Sprintf("791600010%02d", n))
	}
	id := l.startCampaign(t, q, numbers)
	before := l.beginsToRing(t, id, trunk, who)
	l.server.kill()
	l.server.start(t)

	var v control.CampaignView
	eventually(t, "the campaign is done", func() bool {
		v = l.campaign(t, id)
		return v.State == desk.CampaignDone
	})
	if v.Done != len(numbers) || v.Waiting+v.Calling > 0 || len(v.Numbers) != len(numbers) {
		t.Errorf("progress: %+v", v)
	}
	if n := open.largest(); n != campaignParallel {
		t.Errorf("%d calls were open at once, want %d", n, campaignParallel)
	}
	invited := trunk.invited(t)
	l.checkResults(t, v, who, before, invited)
	l.checkShown(t, v)
	for number, times := range invited {
		if times != 1 {
			t.Errorf("%s was called %d times", number, times)
		}
	}
}

// startCampaign starts one on the command line, and returns its id.
func (l *lab) startCampaign(t *testing.T, q queue, numbers []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "numbers.csv")
	if err := os.WriteFile(file, []byte(strings.Join(numbers, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := l.ringhook(t, "campaign", "start", file, "--to", q.id, "--caller-id", "74951234500", "--parallel", fmt.Sprint(campaignParallel))
	m := regexp.MustCompile(`^campaign (\w+) calls 20 numbers\n$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("campaign start: %s", out)
	}
	return m[1]
}

// ringhook runs a command with the server's configuration.
func (l *lab) ringhook(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaint strings.Builder
	c := exec.Command(os.Getenv(binaryVariable), append([]string{"-c", filepath.Join(l.server.folder, "ringhook.toml")}, args...)...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		t.Fatalf("ringhook %s: %v\n%s%s", strings.Join(args, " "), err, &out, &complaint)
	}
	return out.String()
}

// campaign returns the progress of a campaign and the result of each number.
func (l *lab) campaign(t *testing.T, id string) (v control.CampaignView) {
	t.Helper()
	status, text := l.server.ask(t, "GET", "/campaigns/"+id, "")
	if err := json.Unmarshal([]byte(text), &v); status != 200 || err != nil {
		t.Fatalf("campaign %s: %d %s, %v", id, status, text, err)
	}
	return v
}

// beginsToRing waits until a third of a campaign is done and a phone that does not answer has begun to ring. It returns
// the numbers that were called until then.
func (l *lab) beginsToRing(t *testing.T, id string, trunk *sipp, who callees) map[string]int {
	t.Helper()
	old := map[string]bool{} // that rang before so much was done
	var invited map[string]int
	eventually(t, "a third is done, and a phone that does not answer begins to ring", func() bool {
		v := l.campaign(t, id)
		invited = trunk.invited(t)
		for _, n := range v.Numbers {
			switch {
			case who.result(n.Number) != "no-answer" || invited[n.Number] == 0:
			case v.Done < 7:
				old[n.Number] = true
			case n.State == desk.NumberCalling && !old[n.Number]:
				return true
			}
		}
		return false
	})
	return invited
}

// checkResults checks the result of each number of a campaign in which ringhook was killed after some numbers were called.
func (l *lab) checkResults(t *testing.T, v control.CampaignView, who callees, before, invited map[string]int) {
	t.Helper()
	count := map[string]int{}
	for _, n := range v.Numbers {
		count[n.Result]++
		switch {
		case n.State != desk.NumberDone || n.At.IsZero():
			t.Errorf("%s is not done: %+v", n.Number, n)
		case n.Result == "unclear":
			continue // it was being called, or was about to be
		case n.Result != who.result(n.Number):
			t.Errorf("%s: the result is %s, want %s", n.Number, n.Result, who.result(n.Number))
		case invited[n.Number] != 1:
			t.Errorf("%s is %s, and was called %d times", n.Number, n.Result, invited[n.Number])
		case n.Result == "answered" && before[n.Number] == 0:
			story{l.crm.receiver, "linkedid", n.Call}.wait(t, "queue-hangup", 1)
		}
	}
	if n := count["unclear"]; n < 1 || n > campaignParallel {
		t.Errorf("%d numbers are unclear, want 1 to %d", n, campaignParallel)
	}
	for result, n := range count {
		if v.Results[result] != n {
			t.Errorf("%d numbers are %s, and the campaign says %d", n, result, v.Results[result])
		}
	}
	t.Logf("results: %v", v.Results)
}

// checkShown compares `campaign show` and `campaign list` with the API.
func (l *lab) checkShown(t *testing.T, v control.CampaignView) {
	t.Helper()
	text := l.ringhook(t, "campaign", "show", v.ID)
	for _, n := range v.Numbers {
		if !regexp.MustCompile(`(?m)^` + n.Number + ` +done +` + n.Result + ` .*` + n.Call + `$`).MatchString(text) {
			t.Errorf("campaign show has no line of %+v:\n%s", n, text)
		}
	}
	if list := l.ringhook(t, "campaign", "list"); !regexp.MustCompile(`(?m)^` + v.ID + ` .* done +0 +0 +20 `).MatchString(list) {
		t.Errorf("campaign list:\n%s", list)
	}
}
