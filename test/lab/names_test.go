//go:build e2e

package lab

import (
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// hostileNames have all that a name can have and that a program might stumble
// over: they are shown as they are, cut where they must be, and never executed
// (T-QUO-01, T-CRM-01).
func hostileNames(t *testing.T, l *lab) {
	q := l.queue(t)
	phone := l.phone(t, q.phones[0], phone{})
	long := strings.Repeat("é", 1000) + "\"\nSET VARIABLE STOLEN \"1\"\nEXEC System \"touch " + workplace + "/stolen\"\n" + strings.Repeat("é", 1450)
	for i, name := range []string{
		"שלום\u200e עולם", "Жанна Дарк", "Jean\u00a0Dupont", `Anna "the boss" O'Neil`, `C:\new\"table\`, "${EXTEN} ${SHELL(id)}",
		"Smith, John, 501", "🦄 Ünï 𝄞", "$[1+1] | ; <sip:x@y> &call_info=x", long,
	} {
		number := l.caller(t)
		l.crm.say(number, known("CALLERID(name)", name, "call_info", name))
		call := l.call(t, q.did, caller{Number: number, Name: "plain", Talk: 1500 * time.Millisecond})
		told := l.crm.of(number)
		answer := told.wait(t, "agent-answer", 1)

		for _, device := range []string{"PJSIP/trunk", "PJSIP/" + q.phones[0]} {
			c := l.asterisk.channelOf(t, answer.text("linkedid"), device)
			shown(t, c.name+": call_info", c.fields["call_info"], name)
			if _, stolen := c.fields["STOLEN"]; stolen {
				t.Errorf("%s: a command in the name was executed", c.name)
			}
			if device == "PJSIP/trunk" {
				shown(t, c.name+": name", c.fields["Caller ID Name"], name)
			}
		}
		from := phone.headers(t, "From")
		if len(from) != i+1 {
			t.Fatalf("the phone got %d calls, want %d", len(from), i+1)
		}
		display := from[i][:strings.LastIndex(from[i], "<")]
		display = strings.Trim(display, ` "`)
		shown(t, "From", strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(display), strings.Trim(name, ` "`))
		call.wait(t)
		told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	}
	if _, err := os.Stat(filepath.Join(l.asterisk.folder, "stolen")); err == nil {
		t.Error("Asterisk was made to run a program")
	}
}

// shown checks that a text came through: with a blank for its control characters, and
// a long one cut at a rune.
func shown(t *testing.T, where, got, want string) {
	t.Helper()
	want = strings.ReplaceAll(want, "\n", " ")
	switch {
	case !utf8.ValidString(got):
		t.Errorf("%s is cut within a rune: %.40q", where, got)
	case got == want:
	case len(want) > 1000 && len(got) > 50 && strings.HasPrefix(want, got):
	default:
		t.Errorf("%s is %.80q, want %.80q", where, got, want)
	}
}

// everyRune has every character that a name may have put on a channel, and read
// back (T-QUO-01).
func everyRune(t *testing.T, l *lab) {
	var text []rune
	finish := func() {
		number, want := l.caller(t), string(text)
		text = text[:0]
		l.crm.say(number, known("call_info", want))
		l.asterisk.cli(t, "channel originate Local/"+number+"@lab application Wait 3600")
		var got, name string
		eventually(t, "the lookup's answer is on its channel", func() bool {
			all := l.asterisk.cli(t, "core show channels concise")
			begin := strings.Index(all, "Local/"+number+"@lab-")
			if begin < 0 {
				return false
			}
			name, _, _ = strings.Cut(all[begin:], ";")
			got = l.asterisk.channel(t, name+";2").fields["call_info"]
			return got != ""
		})
		if got != want {
			t.Errorf("Asterisk has %q, want %q", got, want)
		}
		l.asterisk.cli(t, "channel request hangup "+name+";2")
	}
	for r := rune(0x21); r <= 0x1ffff; r++ {
		hidden := r >= 0x7f && r < 0xa0 || r == 0x200b || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
		if hidden || !utf8.ValidRune(r) || r > 0xffff && r%16 != 0 {
			continue
		}
		if text = append(text, r); len(text) == 400 {
			finish()
		}
	}
	finish()
}

// sampleCRMs has contrib's own scripts say who is calling.
func sampleCRMs(t *testing.T, l *lab) {
	for _, c := range []struct{ number, crm, name, prio, info string }{
		{pythonCustomer, "http://127.0.0.1:8081", "Анна Каренина", "10", "https://crm.example/customers/17?tab=calls&open=1"},
		{phpCustomer, "http://127.0.0.1:8082", "Жан-Поль Œuvré", "5", "https://crm.example/customers/18?tab=calls&open=1"},
	} {
		q := l.queue(t)
		to, err := url.Parse(c.crm)
		if err != nil {
			t.Fatal(err)
		}
		l.crm.say(c.number, httputil.NewSingleHostReverseProxy(to).ServeHTTP)
		l.phone(t, q.phones[0], phone{Talk: time.Second})
		l.call(t, q.did, caller{Number: c.number}).wait(t)
		told := l.crm.of(c.number)
		told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
		told.wait(t, "agent-answer", 1).has(t, map[string]string{"callerid_name": c.name, "queue_prio": c.prio, "call_info": c.info})
	}
}
