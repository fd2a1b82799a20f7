package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"ringhook/ami/amitest"
)

// asterisk plays an Asterisk with one call: a caller talks to Anna at 101. Every extension but 888 exists.
func asterisk(t *testing.T) (s *amitest.Server, table string) {
	t.Helper()
	s = amitest.New()
	ok := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	for _, action := range []string{"Setvar", "Redirect", "BlindTransfer", "Hangup", "Originate", "PlayDTMF", "QueueAdd", "QueueRemove", "QueuePause"} {
		s.Answer(action, ok)
	}
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := ""
		if strings.HasPrefix(r.Get("Variable"), "DIALPLAN_EXISTS(") && !strings.Contains(r.Get("Variable"), "888") {
			value = "1"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	})
	talking(s, "queues", "s")
	s.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: INUSE"), amitest.Text("Event: DeviceStateChange", "Device: PJSIP/102", "State: NOT_INUSE"))
	s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500", "Strategy: ringall", "Completed: 1", "Abandoned: 0"),
		amitest.Text("Event: QueueMember", "Queue: 500", "Name: Anna", "Location: PJSIP/101", "StateInterface: PJSIP/101", "Membership: dynamic", "Penalty: 0", "CallsTaken: 1", "Status: 2", "Paused: 0"))
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, fmt.Sprintf("[[ami]]\naddress = %q\nusername = %q\nsecret = %q\n", at, amitest.Username, amitest.Secret)
}

// talking sets the lists of channels: the caller is at a place of the dialplan, and bridged with Anna unless it is that of
// calls on hold.
func talking(s *amitest.Server, place, extension string) {
	bridge, app := "b1", "Queue"
	if place == "ringhook-hold" {
		bridge, app = "", "MusicOnHold"
	}
	s.AnswerList("CoreShowChannels",
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-00000001", "Uniqueid: 1.1", "Linkedid: 1.1", "Context: "+place, "Exten: "+extension, "Application: "+app, "BridgeId: "+bridge, "ChannelStateDesc: Up", "CallerIDNum: 02079460142"),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/101-00000002", "Uniqueid: 1.2", "Linkedid: 1.1", "Context: phones", "Exten: 101", "Application: AppQueue", "BridgeId: "+bridge, "ChannelStateDesc: Up"))
}

// asked waits until Asterisk got an action that has values.
func asked(t *testing.T, s *amitest.Server, action string, values ...string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		for _, r := range s.Requests(action) {
			text := fmt.Sprint(r.Fields)
			fits := true
			for _, v := range values {
				fits = fits && strings.Contains(text, v)
			}
			if fits {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Asterisk did not get %s with %q: %v", action, values, s.Requests(""))
		}
	}
}

// press presses keys, one after the other, with the keyboard alone.
func press(t *testing.T, ctx context.Context, keys ...string) {
	t.Helper()
	for _, k := range keys {
		do(t, ctx, chromedp.KeyEvent(k))
	}
}

// inCall starts a desk with the call in progress.
func inCall(t *testing.T, open, more string) (*desk, context.Context, *amitest.Server) {
	t.Helper()
	s, table := asterisk(t)
	d, ctx := start(t, open, more, table, "[[agent]]\nid = \"1\"\nname = \"Vera\"\nrole = \"administrator\"\n", "[[pause]]\nname = \"lunch\"\ntext = { en = \"Lunch\", he = \"הפסקת צהריים\", ru = \"Обед\", fr = \"Déjeuner\" }\n"), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "queue-dial", "", "Zoë Müller")
	d.point("1.1", "agent-dial", "101", "Zoë Müller")
	d.point("1.1", "agent-answer", "101", "Zoë Müller")
	becomes(t, ctx, `document.querySelector("#hold")`)
	return d, ctx, s
}

// TestKeyboardOnly does everything with a call by keys: hold, mute, digits, transfer, a note, another call, hang up. What
// fails is said in words. Rows L6, L40, L41 and D13.
func TestKeyboardOnly(t *testing.T) {
	d, ctx, s := inCall(t, "frame", "")
	press(t, ctx, "m")
	asked(t, s, "Setvar", "MUTEAUDIO", "on")
	becomes(t, ctx, `document.querySelector("#mute.on")`)
	press(t, ctx, "m")
	asked(t, s, "Setvar", "MUTEAUDIO", "off")
	press(t, ctx, "k")
	becomes(t, ctx, `!document.querySelector("#keypad").hidden && document.activeElement.closest("#keypad")`)
	press(t, ctx, "5")
	asked(t, s, "PlayDTMF", "5")
	press(t, ctx, kb.Escape)
	becomes(t, ctx, `document.querySelector("#keypad").hidden`)

	// A destination that there is not, then one that there is.
	eval(t, ctx, `document.activeElement.blur()`)
	press(t, ctx, "t")
	becomes(t, ctx, `document.activeElement.id === "transferto"`)
	eval(t, ctx, `document.activeElement.value = ""`) // the driver types the key itself too, which browsers do not
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#transferto"), "888\r"))
	becomes(t, ctx, `!document.querySelector("#problem").hidden && document.querySelector("#problem").textContent.includes("888")`)
	eval(t, ctx, `document.querySelector("#transferto").value = ""`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#transferto"), "102\r"))
	asked(t, s, "BlindTransfer", "102")
	becomes(t, ctx, `document.querySelector("#transferring").hidden && document.querySelector("#problem").hidden`)

	eval(t, ctx, `document.activeElement.blur()`)
	press(t, ctx, "n")
	becomes(t, ctx, `document.activeElement.id === "note"`)
	eval(t, ctx, `document.activeElement.value = ""`) // the driver types the key itself too, which browsers do not
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "wants a call back"))
	eval(t, ctx, `document.activeElement.blur()`)
	becomes(t, ctx, `document.querySelector("#notestate").textContent`)

	press(t, ctx, "h")
	asked(t, s, "Redirect", "ringhook-hold")
	talking(s, "ringhook-hold", "caller") // as the next list shows it
	s.Send(amitest.Text("Event: MusicOnHoldStart", "Channel: PJSIP/trunk-00000001", "Uniqueid: 1.1", "Linkedid: 1.1", "Context: ringhook-hold", "Exten: caller", "ChannelStateDesc: Up"))
	becomes(t, ctx, `document.querySelector("#hold")?.textContent.startsWith("Resume") && document.querySelector("#call .chip.warn")`)

	press(t, ctx, "c")
	becomes(t, ctx, `document.activeElement.id === "number"`)
	eval(t, ctx, `document.activeElement.value = ""`) // the driver types the key itself too, which browsers do not
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#number"), "+44 20 7946 0143\r"))
	asked(t, s, "Originate", "PJSIP/101", "+442079460143")

	eval(t, ctx, `document.activeElement.blur()`)
	press(t, ctx, "e")
	asked(t, s, "Hangup", "1.2")

	// The settings are reached, used and left by keys too.
	press(t, ctx, "s")
	becomes(t, ctx, `!document.querySelector("#settings").hidden && document.activeElement.id === "settings"`)
	press(t, ctx, kb.Tab)
	becomes(t, ctx, `document.activeElement.closest("#settings") && document.activeElement.id !== "settings"`)
	press(t, ctx, kb.Escape)
	becomes(t, ctx, `document.querySelector("#settings").hidden && document.activeElement.id === "opensettings"`)
	// A pause with a reason.
	eval(t, ctx, `document.querySelector("#reason").value = "lunch"`)
	eval(t, ctx, `document.querySelector("#pause").focus()`)
	press(t, ctx, kb.Enter)
	asked(t, s, "QueuePause", "lunch")
	if trace := d.tell("trace", "1.1"); !strings.Contains(trace, "command of agent 7") {
		t.Errorf("the trace has no command:\n%s", trace)
	}
}

// TestAttended asks the destination of a transfer first, completes it after a reload of the page, and finds the state by
// itself.
func TestAttended(t *testing.T) {
	d, ctx, s := inCall(t, "card", "")
	secret := ""
	s.AnswerFunc("Setvar", func(r *amitest.Request) string {
		if r.Get("Variable") == "RINGHOOK_TRANSFER" && r.Get("Value") != "" {
			secret = r.Get("Value")
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	})
	do(t, ctx, chromedp.Click(chromedp.CSS("#transfer")), chromedp.SendKeys(chromedp.CSS("#transferto"), "102"), chromedp.Click(chromedp.CSS("#transferring [value=attended]")))
	asked(t, s, "Redirect", "ringhook-hold-agent", "consult")
	becomes(t, ctx, `document.querySelector("#complete") && document.querySelector("#uncall")`)
	do(t, ctx, chromedp.Reload())
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#complete")`)
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := map[string]string{"RINGHOOK_TRANSFER": secret, "RINGHOOK_PARTNER": "PJSIP/trunk-00000001"}[r.Get("Variable")]
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	})
	press(t, ctx, "t")
	asked(t, s, "Hangup", "1.2")
}

// TestSupervisorAttends has a supervisor transfer an agent's call: the agent asks the destination first, and the supervisor
// completes the transfer.
func TestSupervisorAttends(t *testing.T) {
	d, anna, s := inCall(t, "card", "")
	secret := ""
	s.AnswerFunc("Setvar", func(r *amitest.Request) string {
		if r.Get("Variable") == "RINGHOOK_TRANSFER" && r.Get("Value") != "" {
			secret = r.Get("Value")
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	})
	vera := browser(t)
	d.signIn(vera, "1")
	becomes(t, vera, rowOf("agents", "Anna"))
	eval(t, vera, rowOf("agents", "Anna")+`.querySelector("button").click()`)
	becomes(t, vera, `document.querySelector('#card [data-do="transfer 1.1"]')`)
	eval(t, vera, `document.querySelector('#card [data-do="transfer 1.1"]').click()`)
	becomes(t, vera, `document.querySelector("#confirm").open && !document.querySelector("#confirm-choice").hidden`)
	do(t, vera, chromedp.SendKeys(chromedp.CSS("#confirm-value"), "102"), chromedp.Click(chromedp.CSS("#confirm-option")), chromedp.Click(chromedp.CSS("#confirm-yes")))
	asked(t, s, "Redirect", "ringhook-hold-agent", "consult")
	becomes(t, vera, `document.querySelector('#card [data-do="complete 1.1"]') && document.querySelector('#card [data-do="cancel 1.1"]')`)
	picture(t, vera, "desk-supervisor-attends")
	becomes(t, anna, `document.querySelector("#complete")`)
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := map[string]string{"RINGHOOK_TRANSFER": secret, "RINGHOOK_PARTNER": "PJSIP/trunk-00000001"}[r.Get("Variable")]
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	})
	eval(t, vera, `document.querySelector('#card [data-do="complete 1.1"]').click()`)
	asked(t, s, "Hangup", "1.2")
	if trace := d.tell("trace", "1.1"); !strings.Contains(trace, "command of agent 1") {
		t.Errorf("the trace has no command:\n%s", trace)
	}
}

// TestPBXAway says that the telephone system is away, and has commands fail in words.
func TestPBXAway(t *testing.T) {
	_, ctx, s := inCall(t, "card", "")
	s.Close()
	becomes(t, ctx, `document.querySelector("#state.bad")`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#number"), "102\r"))
	becomes(t, ctx, `!document.querySelector("#toast").hidden && document.querySelector("#toast").textContent.startsWith("Not connected")`)
}

// connect has Asterisk connect another caller with Anna, and returns the function that ends the call.
func connect(s *amitest.Server, linkedid string, n int) (end func()) {
	channels := []string{fmt.Sprintf("PJSIP/trunk-%08d", n), fmt.Sprintf("PJSIP/101-%08d", n)}
	about := func(event string, i int, more ...string) {
		s.Send(amitest.Text(append([]string{
			"Event: " + event, "Channel: " + channels[i], fmt.Sprintf("Uniqueid: %d.%d", 1000+n, i), "Linkedid: " + linkedid, "ChannelStateDesc: Up", "Context: phones", "Exten: 101",
		}, more...)...))
	}
	for i := range channels {
		about("Newchannel", i)
		about("BridgeEnter", i, fmt.Sprintf("BridgeUniqueid: b%d", n))
	}
	return func() {
		for i := range channels {
			about("Hangup", i)
		}
	}
}
