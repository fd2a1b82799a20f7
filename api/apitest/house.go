// Package apitest checks ports that serve the routes of the API, at an Asterisk that records what reaches it.
package apitest

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control"
	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/dialplan"
	"ringhook/store"
	"ringhook/store/desk"
	"ringhook/test/wait"
)

// House is a store with tokens, and the state of an Asterisk that records every action as Asterisk itself would read it.
type House struct {
	PBX      *amitest.Server
	Store    *store.Store
	Control  *control.Control
	Agents   []dialplan.Agent
	Registry *prometheus.Registry

	t      testing.TB
	tokens map[string]string // by name
}

// New returns a house that is connected. Its agents are 7 at the phone 101 and 8 at 102; its tokens are named agent, agent 8,
// supervisor (of the queue 500), administrator, and gone, whose agent there is not.
func New(t testing.TB) *House {
	t.Helper()
	pbx, address := NewPBX(t)
	h := &House{t: t, PBX: pbx, Registry: prometheus.NewRegistry(), tokens: map[string]string{}}
	var err error
	log := slog.New(slog.DiscardHandler)
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = filepath.Join(t.TempDir(), "store"), "normal", 64<<20
	if h.Store, err = store.Open(cfg, log, h.Registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Store.Close() })
	h.Control = control.New(log, h.Registry)
	t.Cleanup(func() { h.Control.Close() })
	agent := dialplan.DefaultAgent()
	agent.ID, agent.Phone, agent.Queues = "7", "101", []string{"500", "600"}
	other := agent
	other.ID, other.Phone, other.Hold = "8", "102", "notify"
	h.Agents = []dialplan.Agent{agent, other}
	click := control.DefaultClick()
	click.Repeat = 0
	h.Control.Configure(control.Settings{
		Agents: h.Agents, Click: click,
		Campaign: campaign.Config{Context: "ringhook-campaign", Most: 500, Parallel: 5, Timeout: 30 * time.Second},
		Accounts: account.Config{Template: "phone", Context: "accounts", Transports: map[string]string{"udp": "udp", "wss": "wss"}, Most: 500},
	})
	servers, err := h.Control.Prepare([]ami.Config{{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	h.Control.Exchange(servers)
	h.Control.Use(h.Store.Desk(), nil)
	for end := time.Now().Add(wait.Limit); !h.Control.Live().Servers[0].Connected; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not connected")
		}
	}
	for _, token := range []desk.Token{
		{Name: "agent", Agent: "7", Rights: "agent"}, {Name: "agent 8", Agent: "8", Rights: "agent"}, {Name: "supervisor", Rights: "supervisor", Queues: []string{"500"}},
		{Name: "administrator", Rights: "administrator"}, {Name: "gone", Agent: "99", Rights: "agent"},
	} {
		h.add(token)
	}
	return h
}

func (h *House) add(token desk.Token) {
	h.t.Helper()
	token.Created = time.Now()
	secret, err := h.Store.Desk().AddToken(token)
	if err != nil {
		h.t.Fatal(err)
	}
	h.tokens[token.Name] = secret
}

// Another makes one more token of an agent, and returns its name. A token may give a number of commands at once.
func (h *House) Another(agent string) string {
	h.t.Helper()
	name := fmt.Sprint("another ", len(h.tokens))
	h.add(desk.Token{Name: name, Agent: agent, Rights: "agent"})
	return name
}

// Send sends a request to a URL with a token, which is named; "" for none. It returns the status and the answer.
func (h *House) Send(token, method, url, contentType, body string) (resp *http.Response, text string) {
	h.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+h.tokens[token])
	}
	if body != "" && contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatalf("%s %.200s: %v", method, url, err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(all)
}

// NewPBX returns an Asterisk with two queues, a member, calls and answers to all commands, and the address where it listens.
func NewPBX(t testing.TB) (pbx *amitest.Server, address string) {
	t.Helper()
	pbx = amitest.New()
	t.Cleanup(pbx.Close)
	pbx.AnswerList("QueueStatus",
		amitest.Text("Event: QueueParams", "Queue: 500"), amitest.Text("Event: QueueParams", "Queue: 600"),
		amitest.Text("Event: QueueMember", "Queue: 500", "Name: Anna", "Location: PJSIP/101", "StateInterface: PJSIP/101", "Membership: dynamic", "Paused: 0"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1", "CallerIDNum: 442079460142", "CallerIDName: Zoe"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 2", "Channel: PJSIP/trunk-2", "Uniqueid: 1.2"))
	answerChannels(pbx)
	answerCommands(pbx)
	address, err := pbx.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return pbx, address
}

// answerChannels plays the channels: two callers who wait, a call of 101, a call of 101 on hold that is being transferred,
// and a call that rings at 102.
func answerChannels(pbx *amitest.Server) {
	channel := func(name, uniqueid, linkedid, bridge string, more ...string) string {
		return amitest.Text(append([]string{"Event: CoreShowChannel", "Channel: " + name, "Uniqueid: " + uniqueid, "Linkedid: " + linkedid, "BridgeId: " + bridge}, more...)...)
	}
	pbx.AnswerList("CoreShowChannels", channel("PJSIP/trunk-1", "1.1", "1.1", "", "CallerIDNum: 442079460142", "CallerIDName: Zoe"), channel("PJSIP/trunk-2", "1.2", "1.2", ""),
		channel("PJSIP/trunk-3", "1.3", "1.3", "b", "ChannelStateDesc: Up"), channel("PJSIP/101-9", "1.4", "1.3", "b", "ChannelStateDesc: Up"),
		channel("PJSIP/trunk-4", "2.1", "2.1", "", "Context: ringhook-hold", "Exten: caller", "ChannelStateDesc: Up"),
		channel("PJSIP/101-8", "2.2", "2.1", "", "Context: ringhook-hold-agent", "Exten: wait", "ChannelStateDesc: Up"),
		channel("PJSIP/trunk-5", "3.1", "3.1", ""), channel("PJSIP/102-7", "3.2", "3.1", "", "Application: AppDial", "ChannelStateDesc: Ringing"))
	pbx.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: INUSE"), amitest.Text("Event: DeviceStateChange", "Device: PJSIP/102", "State: RINGING"))
}

// answerCommands plays Asterisk's answers to actions.
func answerCommands(pbx *amitest.Server) {
	done := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	for _, action := range []string{"QueueAdd", "QueueRemove", "Redirect", "Hangup", "Setvar", "PlayDTMF", "QueueChangePriorityCaller", "BlindTransfer", "Reload"} {
		pbx.Answer(action, done)
	}
	pbx.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		paused := map[string]string{"true": "1", "false": "0"}[r.Get("Paused")]
		go pbx.Send(amitest.Text("Event: QueueMemberPause", "Queue: "+r.Get("Queue"), "MemberName: Anna", "Interface: PJSIP/101", "StateInterface: PJSIP/101", "Membership: dynamic", "Paused: "+paused, "PausedReason: "+r.Get("Reason")))
		return done
	})
	pbx.AnswerFunc("PJSIPNotify", func(r *amitest.Request) string {
		go pbx.Send(amitest.Text("Event: Newstate", "Channel: PJSIP/102-7", "Uniqueid: "+r.Get("Channel"), "Linkedid: 3.1", "ChannelStateDesc: Up"))
		return done
	})
	pbx.AnswerFunc("Originate", func(r *amitest.Request) string {
		if strings.HasPrefix(r.Get("Channel"), "Local/") { // of a campaign, which then goes on
			return amitest.Text("Response: Error", "ActionID: {id}", "Message: Extension does not exist.")
		}
		go pbx.Send(amitest.Text("Event: Newstate", "Uniqueid: "+r.Get("ChannelId"), "ChannelStateDesc: Ringing"))
		return done
	})
	accounts := amitest.NewAccounts(pbx)
	pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
		name := r.Get("Variable")
		value, known := accounts.Value(name)
		switch {
		case known:
		case strings.HasPrefix(name, "RINGHOOK_"):
			value = map[string]string{"RINGHOOK_PARTNER 2.2": "PJSIP/trunk-4", "RINGHOOK_TRANSFER 2.2": "abcd1234"}[name+" "+r.Get("Channel")]
		case strings.HasPrefix(name, "DIALPLAN_EXISTS("), strings.HasPrefix(name, "PJSIP_"):
			value = "1"
		case strings.HasPrefix(name, "DEVICE_STATE("):
			value = cmp.Or(map[string]string{"DEVICE_STATE(PJSIP/102)": "RINGING"}[name], "INVALID")
		case name == "CHANNEL(context)":
			value = "from-trunk"
		case name == "CALLERID(num-pres)":
			value = "allowed_not_screened"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Value: "+value)
	})
}
