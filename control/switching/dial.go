package switching

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
)

// The stages of a call that Asterisk begins.
const (
	StagePhone  = "phone"  // the one who is called first
	StageNumber = "number" // the one who is dialled when the first has answered
)

// The states of a stage. All but ringing are final.
const (
	Ringing     = "ringing"
	Answered    = "answered"
	Busy        = "busy"
	NoAnswer    = "no-answer"
	Rejected    = "rejected"
	Unreachable = "unreachable" // not registered, unknown, or the id was in use
	Failed      = "failed"
	Lost        = "unclear" // the connection to Asterisk was lost meanwhile
)

// Outcome is how far a call came.
type Outcome struct {
	Stage string `json:"stage"`
	State string `json:"state"`
	// Cause is the Q.850 cause of the channel's hangup, 0 if there is none, and Text what it means.
	Cause int    `json:"cause,omitempty"`
	Text  string `json:"cause_text,omitempty"`
	// SIP is the status by which SIP ended the call, as Asterisk 22 reports it; 0 if there is none.
	SIP int `json:"sip,omitempty"`
}

// NewID returns an id for a call that Asterisk begins: its linkedid, and the uniqueid of its first channel. All have
// the same length, because Asterisk 22 takes one that is the beginning of another for the other's.
func NewID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// Dial is a call that Asterisk begins.
type Dial struct {
	ID      string        // made by NewID
	Channel string        // that is called first: a device such as PJSIP/101, or Local/NUMBER@CONTEXT/n
	To      Place         // where it goes when it answers
	Name    string        // of the caller ID
	Number  string        // of the caller ID; with one both digits
	Timeout time.Duration // of the first; in whole milliseconds
}

// channelPattern matches a device, or a Local channel to a number.
var channelPattern = regexp.MustCompile(`^(?:[A-Z][A-Za-z0-9]{1,11}/[A-Za-z0-9_.-]{1,64}|Local/\+?[0-9*#]{1,32}@[A-Za-z0-9_.-]{1,79}/n)$`)

// plain makes a name fit to stand in a caller ID: without what would end or begin another part of it.
var plain = strings.NewReplacer(`"`, "", `\`, "", "<", "", ">", "", "\r", " ", "\n", " ", "\x00", "")

// Start begins a call, and returns its course. The errors are those of Check and ami.Client.
func Start(ctx context.Context, c *ami.Client, d Dial) (*Course, error) {
	if !channelPattern.MatchString(d.Channel) || d.Number != "" && !Digits(d.Number) || d.To.extension == "" || d.ID == "" {
		return nil, refuse(BadRequest, "this cannot be called")
	}
	fields := []ami.Field{
		field("Channel", d.Channel), field("Context", d.To.context), field("Exten", d.To.extension), field("Priority", "1"),
		field("Timeout", strconv.FormatInt(max(d.Timeout.Milliseconds(), 1000), 10)), field("Async", "true"), field("ChannelId", d.ID),
	}
	if d.Number != "" || d.Name != "" {
		fields = append(fields, field("CallerID", `"`+plain.Replace(cut(d.Name, 80))+`" <`+d.Number+">"))
	}
	w := c.Watch(d.ID)
	_, err := c.Do(ctx, ami.Action{Name: "Originate", Fields: fields})
	if err != nil {
		w.Close()
		return nil, err
	}
	return &Course{watch: w, outcome: Outcome{Stage: StagePhone}}, nil
}

// cut shortens a text to so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Course is the course of a call that Asterisk begins. Its methods are called one at a time.
type Course struct {
	watch   *ami.Watch
	outcome Outcome
	exists  bool // a channel was made
	dialled bool // the first one dials another
	reason  int  // of an OriginateResponse that is a failure
	failed  bool // the OriginateResponse was a failure
	hungUp  bool
	final   bool
}

// Close ends the watching; the call goes on.
func (k *Course) Close() { k.watch.Close() }

// Outcome returns how far the call came.
func (k *Course) Outcome() Outcome { return k.outcome }

// hangupTime is the longest between a failure and the Hangup that has its cause: on an idle machine both come in one
// millisecond. A busy Asterisk sends the OriginateResponse before all events of the channel. Without a Hangup there was no
// channel.
const hangupTime = time.Second

// Next waits until stage or state change, the call ends, or ctx ends. It returns the outcome, and whether it is final:
// the call was answered to the end of its stages, or has failed.
func (k *Course) Next(ctx context.Context) (Outcome, bool) {
	before := k.outcome
	var cause <-chan time.Time
	for !k.final && k.outcome.Stage == before.Stage && k.outcome.State == before.State {
		if k.failed && !k.hungUp && cause == nil {
			late := time.NewTimer(hangupTime)
			defer late.Stop()
			cause = late.C
		}
		select {
		case <-ctx.Done():
			return k.outcome, false
		case <-cause:
			k.fail(0, "", 0)
			if !k.exists {
				k.outcome.State = Unreachable
			}
		case m, ok := <-k.watch.Events:
			if !ok {
				k.outcome.State, k.final = Lost, true
				break
			}
			k.take(m)
		}
	}
	return k.outcome, k.final
}

// Ended waits until the call's first channel has hung up, and reports false if that is not known because the
// connection was lost or ctx has ended.
func (k *Course) Ended(ctx context.Context) bool {
	for !k.hungUp {
		select {
		case <-ctx.Done():
			return false
		case m, ok := <-k.watch.Events:
			if !ok {
				return false
			}
			k.hungUp = m.Event() == "Hangup"
		}
	}
	return true
}

// take changes the outcome by an event of the first channel.
func (k *Course) take(m ami.Message) {
	switch m.Event() {
	case "Newchannel":
		k.exists = true
	case "Newstate":
		k.exists = true
		if m.Get("ChannelStateDesc") == "Ringing" && k.outcome.State == "" {
			k.outcome.State = Ringing
		}
	case "OriginateResponse":
		k.originated(m)
	case "DialBegin":
		k.dialled = true
		k.outcome = Outcome{Stage: StageNumber, State: Ringing}
	case "DialEnd":
		if k.dialled {
			k.dialEnded(m.Get("DialStatus"))
		}
	case "Hangup":
		k.hungUp = true
		cause, _ := strconv.Atoi(m.Get("Cause"))
		sip, _ := strconv.Atoi(m.Get("TechCause"))
		switch {
		case k.failed:
			k.fail(cause, m.Get("Cause-txt"), sip)
		case k.outcome.Stage == StagePhone && k.outcome.State == Answered:
			// It answered, and nothing was dialled: the place is no Dial, or ended at once.
			k.outcome.Cause, k.outcome.Text, k.final = cause, cut(m.Get("Cause-txt"), 80), true
		case k.dialled:
			if k.outcome.State == Ringing {
				k.outcome.State = NoAnswer // the first one hung up
			}
			k.outcome.Cause, k.outcome.Text, k.outcome.SIP, k.final = cause, cut(m.Get("Cause-txt"), 80), sip, true
		default:
			// The OriginateResponse follows, with the reason.
			k.outcome.Cause, k.outcome.Text, k.outcome.SIP = cause, cut(m.Get("Cause-txt"), 80), sip
		}
	}
}

// originated takes the result of the first stage.
func (k *Course) originated(m ami.Message) {
	if m.Get("Response") == "Success" {
		if k.outcome.Stage == StagePhone {
			k.outcome.State = Answered
		}
		return
	}
	k.failed = true
	k.reason, _ = strconv.Atoi(m.Get("Reason"))
	if k.hungUp {
		k.fail(k.outcome.Cause, k.outcome.Text, k.outcome.SIP)
	}
}

// The reasons of an OriginateResponse, which a Local channel has; a phone's refusal has reason 0.
const (
	reasonNoAnswer   = 3
	reasonBusy       = 5
	reasonCongestion = 8
)

// fail ends the first stage.
func (k *Course) fail(cause int, text string, sip int) {
	k.outcome.Cause, k.outcome.Text, k.outcome.SIP, k.final = cause, cut(text, 80), sip, true
	switch {
	case k.reason == reasonBusy || cause == 17:
		k.outcome.State = Busy
	case k.reason == reasonNoAnswer || cause == 18 || cause == 19:
		k.outcome.State = NoAnswer
	case cause == 21 || k.reason == reasonCongestion && cause == 0:
		k.outcome.State = Rejected
	case cause == 20 || cause == 3 || cause == 1 || cause == 27:
		k.outcome.State = Unreachable
	default:
		k.outcome.State = Failed
	}
}

// dialStates are the words for Asterisk's DIALSTATUS.
var dialStates = map[string]string{
	"ANSWER": Answered, "BUSY": Busy, "NOANSWER": NoAnswer, "CANCEL": NoAnswer, "CONGESTION": Failed, "CHANUNAVAIL": Unreachable,
}

// dialEnded takes the result of the second stage. Its cause comes with the Hangup.
func (k *Course) dialEnded(status string) {
	state := dialStates[status]
	if state == "" {
		state = Failed
	}
	k.outcome.State = state
	k.final = state == Answered
}
