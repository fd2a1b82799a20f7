package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ringhook/ami/amitest"
	"ringhook/api/apitest"
	"ringhook/app"
	"ringhook/conf"
	"ringhook/test/wait"
)

// serveControl serves a ringhook at an Asterisk that records what reaches it, and returns its configuration file.
func serveControl(t *testing.T) (pbx *amitest.Server, file string) {
	t.Helper()
	pbx, address := apitest.NewPBX(t)
	file = filepath.Join(t.TempDir(), "ringhook.toml")
	text := fmt.Sprintf(`
[store]
folder = "data"
[fastagi]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[[ami]]
name = "pbx"
address = %q
username = %q
secret = %q
[[agent]]
id = "7"
phone = "101"
queues = ["500", "600"]
[[agent]]
id = "8"
phone = "102"
queues = ["600"]
hold = "notify"
[[pause]]
name = "lunch"
[click]
context = "from-desk"
[campaign]
context = "ringhook-campaign"
hours = ""
[accounts]
template = "phone"
context = "accounts"
transports = { udp = "udp", wss = "wss" }
`, address, amitest.Username, amitest.Secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*conf.Config, error) { return conf.Load(file) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(cfg, slog.New(slog.DiscardHandler), app.Build{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, nil, load) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wait.Until(t, func() bool {
		code, out := runControl(file, "agent", "list", "--json")
		return code == 0 && strings.Contains(out, `"state": "busy"`)
	}, "not connected")
	return pbx, file
}

// runControl runs a command line, and returns the exit code and what it prints.
func runControl(file string, args ...string) (code int, out string) {
	var b strings.Builder
	code = Run(context.Background(), app.Build{}, append([]string{"-c", file}, args...), &b, &b)
	return code, b.String()
}

// reads are the actions that only read.
var reads = []string{"Login", "Logoff", "Challenge", "Ping", "QueueStatus", "CoreShowChannels", "ParkedCalls", "DeviceStateList", "Getvar", "GetConfig"}

// asked returns the actions that change something since there were n, each as its name and fields.
func asked(pbx *amitest.Server, n int) (list []string) {
	for _, r := range pbx.Requests("")[n:] {
		if slices.Contains(reads, r.Action) {
			continue
		}
		text := r.Action
		for _, f := range r.Fields {
			text += " " + f[0] + "=" + f[1]
		}
		list = append(list, text)
	}
	return list
}

// TestControlCommands runs each command for the PBX, with what it is to ask of Asterisk and to print, and with its mistakes.
func TestControlCommands(t *testing.T) {
	pbx, file := serveControl(t)
	numbers := filepath.Join(t.TempDir(), "numbers.csv")
	if err := os.WriteFile(numbers, []byte("+4930123456\n+4930123457, +4930999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	campaign := ""
	// f runs a command line. Want is what is printed, and action the beginning of what Asterisk is asked, empty for nothing.
	f := func(code int, want, action string, args ...string) string {
		t.Helper()
		before := len(pbx.Requests(""))
		for i := range args {
			args[i] = strings.NewReplacer("FILE", numbers, "CAMPAIGN", campaign).Replace(args[i])
		}
		got, out := runControl(file, args...)
		done := asked(pbx, before)
		fits := func(done string) bool { return strings.HasPrefix(done, action) }
		if got != code || !strings.Contains(out, want) || (action == "") != (len(done) == 0) || action != "" && !slices.ContainsFunc(done, fits) {
			t.Errorf("%q: exit code %d, want %d and %q; asked %q, want %q:\n%s", args, got, code, want, done, action, out)
		}
		return out
	}
	split := func(code int, want, action, line string) string {
		t.Helper()
		return f(code, want, action, strings.Fields(line)...)
	}
	split(0, "600: ok", "QueueAdd Queue=600 Interface=PJSIP/101 Penalty=2", "agent login 7 --queue 600 --penalty 2")
	split(1, "(unknown)", "", "agent login 99")
	split(1, "(unknown)", "", "agent login 7 --queue 700")
	split(1, "(phone)", "", "agent login 7 --phone 105")
	split(1, "(bad-request)", "", "agent login 7 --penalty 1001")
	split(1, "(unknown)", "", "agent login 7 --server x")
	split(0, "500: ok", "QueueRemove Queue=500 Interface=PJSIP/101", "agent logout 7 --queue 500")
	split(1, "(unknown)", "", "agent logout 99")
	split(0, "500: ok", "QueuePause Queue=500 Interface=PJSIP/101 Paused=true Reason=lunch", "agent pause 7 --reason lunch --for 30m --queue 500")
	split(1, "(bad-request)", "", "agent pause 7 --reason dinner")
	split(1, "(unknown)", "", "agent pause 99 --reason lunch")
	split(0, "lunch", "", "agent list")
	split(0, "500: ok", "QueuePause Queue=500 Interface=PJSIP/101 Paused=false", "agent resume 7 --queue 500")
	split(1, "(state)", "", "agent resume 8")
	split(0, "logged in", "", "agent times 7")
	split(1, "(unknown)", "", "agent times 99")
	split(0, "to +4930123456: the phone is ringing", "Originate Channel=PJSIP/101", "agent call 7 +4930123456")
	split(1, "(repeat)", "", "agent call 7 +4930123456")
	split(1, "(bad-request)", "", "agent call 7 anna")
	split(1, "(unknown)", "", "agent call 99 +4930123456")
	split(0, "done by notify", "PJSIPNotify Channel=3.2 Variable=Event=talk", "agent answer 8 3.1")
	split(1, "(phone)", "", "agent answer 7 1.3")
	split(0, "done by pbx", "Redirect Channel=1.", "agent hold 7 1.3")
	split(1, "(unknown)", "", "agent hold 7 9.9")
	split(1, "(state)", "", "agent hold 7 1.1")
	split(0, "done by pbx", "Redirect Channel=2.", "agent unhold 7 2.1")
	split(1, "(unknown)", "", "agent unhold 7 9.9")
	split(0, "transferred to 102", "BlindTransfer Channel=", "agent transfer 7 1.3 102")
	split(0, "has begun: complete or cancel it", "Redirect Channel=", "agent transfer 7 1.3 102 --attended")
	split(1, "(unknown)", "", "agent transfer 7 9.9 102")
	split(1, "(bad-request)", "", "agent transfer 7 1.3 a&b")
	split(0, "", "Hangup Channel=2.2", "agent complete 7 2.2-abcd1234")
	split(1, "(unknown)", "", "agent complete 7 9.9-abcd1234")
	split(0, "", "Redirect Channel=", "agent cancel 7 2.2-abcd1234")
	split(1, "(state)", "", "agent cancel 7 2.2-wrong123")

	split(0, "1.1: ok", "Redirect Channel=1.1 Context=from-trunk Exten=7000", "queue kick 500 1.1 --to 7000")
	split(0, "1.2: ok", "Hangup Channel=1.2", "queue kick 500 1.2")
	split(1, "9.9: unknown", "Hangup Channel=1.2", "queue kick 500 1.2 9.9")
	split(1, "(unknown)", "", "queue kick 500 9.9")
	split(1, "(unknown)", "", "queue kick 700 1.1")
	split(1, "(bad-request)", "", "queue kick 500 1.1 --to a,b")
	split(1, "(unknown)", "", "queue kick 500 1.1 --server x")
	split(2, "expected", "", "queue kick 500")
	split(0, "1.2: priority 10, position 2 in 500", "QueueChangePriorityCaller Queue=500 Caller=PJSIP/trunk-2 Priority=10", "queue priority 500 1.2 10")
	split(1, "(unknown)", "", "queue priority 700 1.2 10")
	split(1, "(unknown)", "", "queue priority 500 9.9 10")
	split(1, "(bad-request)", "", "queue priority 500 1.2 10000000")
	split(2, "", "", "queue priority 500 1.2 high")

	split(0, "hangup: 1.3 1.4", "Hangup Channel=1.3", "calls hangup 1.3")
	split(0, "hangup: 1.3\n", "Hangup Channel=1.3", "calls hangup 1.3 --agent 7 --side other")
	split(0, "hangup: 1.4\n", "Hangup Channel=1.4", "calls hangup 1.3 --uniqueid 1.4")
	split(1, "(unknown)", "", "calls hangup 9.9")
	split(1, "(bad-request)", "", "calls hangup 1.3 --side agent")
	split(1, "(state)", "", "calls hangup 1.1 --agent 7")
	split(1, "(unknown)", "", "calls hangup 1.3 --server x")
	split(0, "mute: 1.4", "Setvar Channel=1.4 Variable=MUTEAUDIO(in) Value=on", "calls mute 1.3 --agent 7")
	split(0, "unmute: 1.4", "Setvar Channel=1.4 Variable=MUTEAUDIO(in) Value=off", "calls mute 1.3 --agent 7 --off")
	split(1, "(unknown)", "", "calls mute 9.9")
	split(0, "dtmf: 1.3", "PlayDTMF Channel=1.3 Digit=1", "calls dtmf 1.3 12# --agent 7")
	split(1, "(bad-request)", "", "calls dtmf 1.3 x --agent 7")
	split(1, "(unknown)", "", "calls dtmf 9.9 1")

	// start starts a campaign, and waits until Asterisk was asked for so many calls.
	start := func(calls int, args ...string) {
		t.Helper()
		before := len(pbx.Requests("Originate"))
		code, out := runControl(file, append([]string{"campaign", "start", numbers, "--to", "menu"}, args...)...)
		found := regexp.MustCompile(`campaign ([a-z0-9]{16}) calls 2 numbers`).FindStringSubmatch(out)
		if code != 0 || found == nil {
			t.Fatalf("campaign start: exit code %d: %s", code, out)
		}
		campaign = found[1]
		wait.Until(t, func() bool { return len(pbx.Requests("Originate")) >= before+calls }, "the campaign does not call")
		for _, r := range pbx.Requests("Originate")[before:] {
			if to := r.Get("Channel"); !strings.HasPrefix(to, "Local/+493012345") || r.Get("Exten") != "menu" || strings.HasPrefix(to, "Local/+4930123457@") != strings.Contains(r.Get("CallerID"), "+4930999") {
				t.Errorf("the campaign asked for %v", r.Fields)
			}
		}
	}
	start(2)
	wait.Until(t, func() bool {
		_, out := runControl(file, "campaign", "list")
		return strings.Contains(out, "done")
	}, "the campaign does not end")
	split(0, "2 failed", "", "campaign list")
	split(0, "+4930123457", "", "campaign show CAMPAIGN")
	split(1, "(unknown)", "", "campaign show none")
	split(1, "(state)", "", "campaign stop CAMPAIGN")
	split(1, "(unknown)", "", "campaign stop none")
	done := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	pbx.Answer("Originate", done) // and the call goes on
	start(1, "--parallel", "1")
	split(0, "", "", "campaign stop CAMPAIGN")
	split(0, "stopped", "", "campaign list")
	split(0, "waiting", "", "campaign show CAMPAIGN")
	split(1, "(bad-request)", "", "campaign start FILE --to a,b")
	split(1, "(bad-request)", "", "campaign start FILE --to menu --parallel 1000")
	split(1, "no such file", "", "campaign start /nowhere/FILE --to menu")
	split(2, "--to", "", "campaign start FILE")

	split(0, "account 4300\npassword ", "UpdateConfig SrcFilename=pjsip_wizard.conf", "sip create --extension 4300")
	split(1, "(state)", "", "sip create --extension 4300")
	split(1, "(bad-request)", "", "sip create a&b")
	split(0, "4300", "", "sip list")
	split(0, "", "UpdateConfig SrcFilename=pjsip_wizard.conf", "sip change 4300 --transport wss")
	split(1, "(bad-request)", "", "sip change 4300 --transport tls")
	split(1, "(unknown)", "", "sip change 4301 --transport wss")
	split(2, "give one of", "", "sip change 4300")
	split(0, "", "UpdateConfig SrcFilename=pjsip_wizard.conf", "sip delete 4300")
	split(1, "(unknown)", "", "sip delete 4300")

	denied := amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied")
	for action, line := range map[string]string{
		"QueueAdd": "agent login 7 --queue 600", "QueueRemove": "agent logout 7 --queue 500", "Hangup": "calls hangup 1.3", "PlayDTMF": "calls dtmf 1.3 1 --agent 7",
		"Setvar": "calls mute 1.3 --agent 7", "QueueChangePriorityCaller": "queue priority 500 1.2 5", "Redirect": "agent hold 7 1.3", "BlindTransfer": "agent transfer 7 1.3 102",
		"Originate": "agent call 7 +4930123499",
	} {
		pbx.Answer(action, denied)
		split(1, "Permission denied", action, line)
		pbx.Answer(action, done)
	}

	pbx.Close()
	wait.Until(t, func() bool {
		code, out := runControl(file, "calls", "hangup", "1.3")
		return code == 1 && strings.Contains(out, "(away)")
	}, "Asterisk is not away")
	for _, line := range []string{
		"agent login 7", "agent logout 7", "agent pause 7 --reason lunch", "agent resume 7", "agent call 7 +4930123400", "agent answer 8 3.1", "agent hold 7 1.3", "agent unhold 7 2.1",
		"agent transfer 7 1.3 102", "agent complete 7 2.2-abcd1234", "agent cancel 7 2.2-abcd1234", "queue kick 500 1.1", "queue priority 500 1.2 10", "calls hangup 1.3", "calls mute 1.3",
		"calls dtmf 1.3 1", "campaign start FILE --to menu", "sip create --extension 4400",
	} {
		split(1, "(away)", "", line)
	}
}

// TestControlWithoutServer checks that the commands say that no service runs.
func TestControlWithoutServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringhook.toml")
	if err := os.WriteFile(file, []byte("[store]\nfolder = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"agent list", "queue kick 500 1.1", "calls hangup 1.3", "campaign list", "sip list"} {
		if code, out := runControl(file, strings.Fields(line)...); code != 1 || !strings.Contains(out, "start it with ringhook serve") {
			t.Errorf("%s: exit code %d:\n%s", line, code, out)
		}
	}
}
