package extensions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQueues checks that queues whose queues.conf does not report the member are found.
func TestQueues(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var dialplan strings.Builder
	dialplan.WriteString("[in]\n")
	for _, queue := range []string{"500", "501", "502", "503", "504", "${Q}"} {
		dialplan.WriteString("exten => " + strings.Trim(queue, "${}") + ",1,AGI(agi://127.0.0.1:4573/queue-dial,queue_id=1)\n same => n,Queue(" + queue + ",,,,30)\n")
	}
	dialplan.WriteString("exten => h,1,AGI(agi://127.0.0.1:4573/queue-hangup)\n same => n,AGI(agi://127.0.0.1:4573/call-hangup)\n")
	file := write("extensions.conf", dialplan.String())
	found := func() string {
		t.Helper()
		r, err := Check(file, options)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range r.Findings {
			if f.Code == "member" {
				lines = append(lines, strings.TrimPrefix(f.String(), folder+"/"))
			}
		}
		return strings.Join(lines, "\n")
	}
	if got := found(); got != "" {
		t.Errorf("without a queues.conf: %s", got)
	}
	write("queues.conf", "[general]\n[good](!)\nsetinterfacevar = yes\n[500](good)\n[501]\nsetinterfacevar=TRUE ; so\n[502]\nmember => PJSIP/101\n"+
		"[503](good)\nsetinterfacevar=no\n#include more.conf\n[unused]\n")
	write("more.conf", "[504]\nsetinterfacevar=1\n")
	want := []string{"queues.conf:7: warning: the queue 502 does not report", "queues.conf:9: warning: the queue 503 does not report"}
	got := strings.Split(found(), "\n")
	if len(got) != len(want) || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) {
		t.Errorf("got %q, want %q", got, want)
	}
}
