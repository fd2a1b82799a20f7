package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringhook/store/desk"
)

// Desk is a store of commands, tokens and campaigns under test.
type Desk interface {
	AddCommand(c *desk.Command) error
	EndCommand(c *desk.Command) error
	Commands(f desk.CommandFilter) ([]desk.Command, error)
	AddToken(t desk.Token) (token string, err error)
	Token(token string) (t desk.Token, found bool, err error)
	TokenUsed(name string, when time.Time) error
	Tokens() ([]desk.Token, error)
	RemoveToken(name string) (removed bool, err error)
	AddCampaign(c desk.Campaign, numbers []desk.CampaignNumber) error
	Campaigns() ([]desk.Campaign, error)
	Campaign(id string) (c desk.Campaign, found bool, err error)
	EndCampaign(id, state string, when time.Time) (ended bool, err error)
	CampaignNumbers(id string) ([]desk.CampaignNumber, error)
	WaitingNumbers(id string, limit int) ([]desk.CampaignNumber, error)
	ClaimNumber(campaign string, n int, call string, when time.Time) (claimed bool, err error)
	SettleNumber(campaign string, n int, state, result string, when time.Time) error
	SettleCalling(result string, when time.Time) error
	CampaignCounts(id string) (states, results map[string]int, err error)
	SetDIDUse(u desk.DIDUse) error
	RemoveDIDUse(did string) (removed bool, err error)
	DIDUse(did string) (u desk.DIDUse, found bool, err error)
	DIDUses() ([]desk.DIDUse, error)
	ObserveStates(now []desk.AgentState, when time.Time) error
	CutStates(before time.Time) error
	AgentStates(agent string, from, to time.Time) ([]desk.AgentState, error)
	AddSIPAccount(a desk.SIPAccount, most int) (added bool, err error)
	SetSIPAccount(a desk.SIPAccount) (found bool, err error)
	RemoveSIPAccount(server, name string) (removed bool, err error)
	SIPAccounts() ([]desk.SIPAccount, error)
	SetPauseEnds(ends ...desk.PauseEnd) error
	RemovePauseEnds(ends ...desk.PauseEnd) error
	PauseEnds() ([]desk.PauseEnd, error)
	Person(numbers ...string) (desk.Person, error)
	Erase(numbers ...string) (desk.Erased, error)
	Revision() (desk.Revision, error)
	Settings() (map[string]map[string]string, error)
	SetSettings(agent string, changes map[string]string) error
	Exceptions() ([]desk.Exception, error)
	AddExceptions(list ...desk.Exception) error
	RemoveException(number, agent string) (removed bool, err error)
	SetNote(n desk.Note) error
	Notes(agent string, limit int) ([]desk.Note, error)
	Shared() bool
	Hold(name, holder string, long time.Duration) (held bool, err error)
	Release(name, holder string) error
	Tidy(now time.Time) error
}

// RunDesk checks what a store of commands, tokens and campaigns promises. open returns an empty one that is
// closed when the test ends; reopen closes it and opens it again with what it holds.
func RunDesk(t *testing.T, open func(t *testing.T) (d Desk, reopen func() Desk)) {
	now := newClock().now()
	run := func(name string, f func(t *testing.T, d Desk, reopen func() Desk)) {
		t.Run(name, func(t *testing.T) {
			d, reopen := open(t)
			f(t, d, reopen)
		})
	}
	run("commands", func(t *testing.T, d Desk, reopen func() Desk) { deskCommands(t, d, reopen, now) })
	run("tokens", func(t *testing.T, d Desk, reopen func() Desk) { deskTokens(t, d, reopen, now) })
	run("campaigns", func(t *testing.T, d Desk, reopen func() Desk) { deskCampaigns(t, d, reopen, now) })
	run("uses of numbers", func(t *testing.T, d Desk, reopen func() Desk) { deskDIDs(t, d, reopen, now) })
	run("states of agents", func(t *testing.T, d Desk, reopen func() Desk) { deskStates(t, d, reopen, now) })
	run("ends of pauses", func(t *testing.T, d Desk, reopen func() Desk) { deskPauses(t, d, reopen, now) })
	run("SIP accounts", func(t *testing.T, d Desk, reopen func() Desk) { deskSIPAccounts(t, d, reopen, now) })
	run("a person", func(t *testing.T, d Desk, _ func() Desk) { deskPerson(t, d, now) })
	run("settings", func(t *testing.T, d Desk, reopen func() Desk) { deskSettings(t, d, reopen) })
	run("exceptions", func(t *testing.T, d Desk, reopen func() Desk) { deskExceptions(t, d, reopen, now) })
	run("notes", func(t *testing.T, d Desk, reopen func() Desk) { deskNotes(t, d, reopen, now) })
	run("holders", func(t *testing.T, d Desk, reopen func() Desk) { deskHolders(t, d, reopen) })
	run("upkeep", func(t *testing.T, d Desk, _ func() Desk) { deskTidy(t, d, now) })
}

// Of the nodes that share a store, one holds a name until it releases that, or does not extend it.
func deskHolders(t *testing.T, d Desk, reopen func() Desk) {
	hold := func(name, holder string, long time.Duration, want bool) {
		t.Helper()
		if held, err := d.Hold(name, holder, long); err != nil || held != want {
			t.Errorf("%s is held by %s: %v, %v", name, holder, held, err)
		}
	}
	alone := !d.Shared()
	hold("pbx", "a", time.Hour, true)
	hold("pbx", "a", time.Hour, true)
	hold("other", "b", time.Hour, true)
	d = reopen()
	hold("pbx", "b", time.Hour, alone)
	good(t, d.Release("pbx", "b"))
	hold("pbx", "b", time.Hour, alone)
	good(t, d.Release("pbx", "a"))
	hold("pbx", "b", -time.Second, true)
	hold("pbx", "a", time.Hour, true)
	hold("pbx", "b", time.Hour, alone)
}

// good fails a test at an error.
func good(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func deskCommands(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	first := desk.Command{At: now.Local(), Who: "agent 7", Command: "pause", Server: "pbx", Agent: "7", Detail: `{"reason":"обед"}`, Outcome: "ok", Took: 1500 * time.Microsecond}
	second := desk.Command{At: now.Add(time.Second).Local(), Who: "token crm", Command: "kick", Queue: "500", Call: "1768473741.17", Outcome: "unknown", Result: "x"}
	begun := desk.Command{At: first.At, Who: first.Who, Command: first.Command, Detail: first.Detail, Outcome: desk.CommandBegun}
	good(t, d.AddCommand(&begun))
	if got, err := d.Commands(desk.CommandFilter{}); err != nil || len(got) != 1 || got[0] != begun {
		t.Errorf("a command that runs: %+v, %v", got, err)
	}
	first.ID = begun.ID
	good(t, d.EndCommand(&first), d.AddCommand(&second))
	if first.ID == 0 || first.ID == second.ID {
		t.Errorf("ids %d and %d", first.ID, second.ID)
	}
	d = reopen()
	for _, c := range []struct {
		filter desk.CommandFilter
		want   []desk.Command
	}{
		{desk.CommandFilter{}, []desk.Command{second, first}},
		{desk.CommandFilter{Limit: 1}, []desk.Command{second}},
		{desk.CommandFilter{Until: second.At}, []desk.Command{first}},
		{desk.CommandFilter{Since: second.At}, []desk.Command{second}},
		{desk.CommandFilter{Agent: "7"}, []desk.Command{first}},
		{desk.CommandFilter{Queue: "500", Call: "1768473741.17"}, []desk.Command{second}},
		{desk.CommandFilter{Queue: "500", Agent: "7"}, nil},
	} {
		got, err := d.Commands(c.filter)
		good(t, err)
		same(t, "commands", got, c.want)
	}
}

func deskTokens(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	want := desk.Token{Name: "crm", Rights: "supervisor", Queues: []string{"500", "600"}, Created: now.Local()}
	token, err := d.AddToken(want)
	good(t, err)
	if len(token) < 32 {
		t.Errorf("the token %q can be guessed", token)
	}
	if _, err := d.AddToken(desk.Token{Name: "crm", Rights: "administrator", Created: now}); !errors.Is(err, desk.ErrTokenExists) {
		t.Errorf("a second token of this name: %v", err)
	}
	other, err := d.AddToken(desk.Token{Name: "anna", Rights: "agent", Agent: "7", Created: now})
	good(t, err)
	d = reopen()
	got, found, err := d.Token(token)
	good(t, err)
	same(t, "token", []any{got, found}, []any{want, true})
	if _, found, err := d.Token(token + "x"); found || err != nil {
		t.Errorf("an unknown token: %t, %v", found, err)
	}
	good(t, d.TokenUsed("crm", now.Add(time.Minute)))
	list, err := d.Tokens()
	good(t, err)
	if len(list) != 2 || list[0].Name != "anna" || !list[1].Used.Equal(now.Add(time.Minute)) || !list[0].Used.IsZero() {
		t.Errorf("tokens: %+v", list)
	}
	removed, err := d.RemoveToken("anna")
	again, err2 := d.RemoveToken("anna")
	_, found, err3 := d.Token(other)
	good(t, err, err2, err3)
	same(t, "removed, again, found", []bool{removed, again, found}, []bool{true, false, false})
}

func deskSIPAccounts(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	first := desk.SIPAccount{Server: "pbx", Name: "201", Extension: "201", CallerID: "+4930123456", Transport: "udp", Who: "token crm", Created: now.Local()}
	other := desk.SIPAccount{Server: "pbx2", Name: "201", Who: "token crm", Created: now.Local()}
	add := func(a desk.SIPAccount, most int, want bool) {
		t.Helper()
		if added, err := d.AddSIPAccount(a, most); err != nil || added != want {
			t.Errorf("add %s on %s: %t, %v", a.Name, a.Server, added, err)
		}
	}
	add(first, 1, true)
	add(first, 9, false)
	add(other, 1, true)
	add(desk.SIPAccount{Server: "pbx", Name: "202", Created: now}, 1, false)
	first.Extension, first.CallerID, first.Transport = "250", "", "wss"
	changed, err := d.SetSIPAccount(first)
	none, err2 := d.SetSIPAccount(desk.SIPAccount{Server: "pbx2", Name: "202"})
	good(t, err, err2)
	d = reopen()
	list, err := d.SIPAccounts()
	good(t, err)
	same(t, "accounts", []any{list, changed, none}, []any{[]desk.SIPAccount{first, other}, true, false})
	removed, err := d.RemoveSIPAccount("pbx", "201")
	again, err2 := d.RemoveSIPAccount("pbx", "201")
	list, err3 := d.SIPAccounts()
	good(t, err, err2, err3)
	same(t, "after a removal", []any{list, removed, again}, []any{[]desk.SIPAccount{other}, true, false})
}

func deskCampaigns(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	want := desk.Campaign{ID: "c1", Who: "token crm", Server: "pbx", Created: now.Local(), Target: "7000", Settings: `{"parallel":2}`}
	good(t, d.AddCampaign(want, []desk.CampaignNumber{{Number: "+4930123456", Detail: "{}"}, {Number: "+4930123457"}, {Number: "+4930123458"}}))
	if err := d.AddCampaign(want, nil); err == nil {
		t.Error("a second campaign of this id")
	}
	want.State = desk.CampaignRunning
	claim := func(n int, call string, want bool) {
		t.Helper()
		claimed, err := d.ClaimNumber("c1", n, call, now)
		good(t, err)
		if claimed != want {
			t.Errorf("number %d claimed for %s: %t, want %t", n, call, claimed, want)
		}
	}
	claim(0, "call-1", true)
	d = reopen()
	claim(0, "call-2", false) // it may have rung
	claim(1, "call-3", true)
	claim(7, "call-4", false)
	good(t, d.SettleNumber("c1", 1, desk.NumberDone, "answer", now))
	claim(1, "call-5", false)
	waiting, err := d.WaitingNumbers("c1", 5)
	good(t, err)
	if len(waiting) != 1 || waiting[0].Number != "+4930123458" || waiting[0].N != 2 {
		t.Errorf("waiting: %+v", waiting)
	}
	numbers, err := d.CampaignNumbers("c1")
	good(t, err)
	if len(numbers) != 3 || numbers[0].State != desk.NumberCalling || numbers[0].Call != "call-1" || numbers[1].Result != "answer" || numbers[1].Tries != 1 || !numbers[1].At.Equal(now) {
		t.Errorf("numbers: %+v", numbers)
	}
	states, results, err := d.CampaignCounts("c1")
	good(t, err)
	same(t, "states", states, map[string]int{desk.NumberCalling: 1, desk.NumberDone: 1, desk.NumberWaiting: 1})
	same(t, "results", results, map[string]int{"answer": 1})
	got, found, err := d.Campaign("c1")
	good(t, err)
	same(t, "campaign", []any{got, found}, []any{want, true})

	ended, err := d.EndCampaign("c1", desk.CampaignStopped, now)
	again, err2 := d.EndCampaign("c1", desk.CampaignDone, now)
	good(t, err, err2)
	same(t, "ended, again", []bool{ended, again}, []bool{true, false})
	claim(2, "call-6", false) // the campaign was stopped
	list, err := d.Campaigns()
	good(t, err)
	if len(list) != 1 || list[0].State != desk.CampaignStopped || !list[0].Ended.Equal(now) {
		t.Errorf("campaigns: %+v", list)
	}
	if _, found, err := d.Campaign("c2"); found || err != nil {
		t.Errorf("an unknown campaign: %t, %v", found, err)
	}

	later := now.Add(time.Minute)
	good(t, d.AddCampaign(desk.Campaign{ID: "c3", Server: "pbx", Created: now}, []desk.CampaignNumber{{Number: "+4930123459"}}))
	claimed, err := d.ClaimNumber("c3", 0, "call-7", now)
	good(t, err, d.SettleCalling("unclear", later))
	same(t, "claimed", claimed, true)
	settled := func(id string, want ...string) {
		t.Helper()
		numbers, err := d.CampaignNumbers(id)
		good(t, err)
		var got []string
		for _, n := range numbers {
			got = append(got, n.State+" "+n.Result)
			if n.Result == "unclear" && !n.At.Equal(later) {
				t.Errorf("%s was settled at %v, want %v", n.Number, n.At, later)
			}
		}
		same(t, "numbers of "+id, got, want)
	}
	settled("c1", "done unclear", "done answer", "waiting ")
	settled("c3", "done unclear")
}

func deskDIDs(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	want := desk.DIDUse{DID: "4930555", Type: "sip", Target: "101", Who: "token ym", Changed: now.Local()}
	before := want
	before.Type, before.Target = "goto", "/1"
	good(t, d.SetDIDUse(before), d.SetDIDUse(want))
	d = reopen()
	got, found, err := d.DIDUse("4930555")
	good(t, err)
	same(t, "use", []any{got, found}, []any{want, true})
	list, err := d.DIDUses()
	good(t, err)
	same(t, "uses", list, []desk.DIDUse{want})
	removed, err := d.RemoveDIDUse("4930555")
	_, found, err2 := d.DIDUse("4930555")
	good(t, err, err2)
	same(t, "removed, found", []bool{removed, found}, []bool{true, false})
}

func deskStates(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	in, paused := desk.AgentState{Agent: "7", State: desk.AgentIn}, desk.AgentState{Agent: "7", State: desk.AgentPaused, Reason: "lunch"}
	minute := func(n int) time.Time { return now.Add(time.Duration(n) * time.Minute).Local() }
	good(t, d.ObserveStates([]desk.AgentState{in}, minute(0)))
	good(t, d.ObserveStates([]desk.AgentState{in, paused}, minute(1)))
	good(t, d.ObserveStates([]desk.AgentState{in, paused, {Agent: "8", State: desk.AgentIn}}, minute(2)))
	good(t, d.ObserveStates([]desk.AgentState{in}, minute(3)))
	d = reopen()
	in.From, in.To, in.Open = minute(0), minute(3), true
	paused.From, paused.To = minute(1), minute(3)
	list := func(agent string, from, to time.Time, want ...desk.AgentState) {
		t.Helper()
		got, err := d.AgentStates(agent, from, to)
		good(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("states: got %+v, want %+v", got, want)
		}
	}
	list("7", minute(0), minute(9), in, paused)
	list("7", minute(0), minute(1), in)
	list("", minute(0), minute(9), in, paused, desk.AgentState{Agent: "8", State: desk.AgentIn, From: minute(2), To: minute(3)})
	good(t, d.CutStates(minute(3)), d.CutStates(minute(4)), d.ObserveStates([]desk.AgentState{{Agent: "7", State: desk.AgentIn}}, minute(20)))
	in.Open = false
	list("7", minute(0), minute(30), in, paused, desk.AgentState{Agent: "7", State: desk.AgentIn, From: minute(20), To: minute(20), Open: true})
}

func deskPauses(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	a := desk.PauseEnd{Server: "pbx", Interface: "PJSIP/101", Queue: "500", From: now.Local(), At: now.Add(time.Hour).Local(), Who: "agent 7"}
	b := a
	b.Queue, b.At = "600", now.Local()
	good(t, d.SetPauseEnds(a, b))
	a.At = a.At.Add(time.Minute)
	good(t, d.SetPauseEnds(a))
	d = reopen()
	got, err := d.PauseEnds()
	good(t, err)
	same(t, "ends", got, []desk.PauseEnd{b, a})
	good(t, d.RemovePauseEnds(b))
	got, err = d.PauseEnds()
	good(t, err)
	same(t, "ends", got, []desk.PauseEnd{a})
}

func deskPerson(t *testing.T, d Desk, now time.Time) {
	add := func(detail, result string) {
		t.Helper()
		good(t, d.AddCommand(&desk.Command{At: now, Who: "agent 7", Command: "call", Detail: detail, Outcome: "ok", Result: result}))
	}
	add(`{"number":"+4930123456"}`, "")
	add("", `{"caller":"030123456"}`)
	add(`{"number":"+49301234567"}`, "")
	good(t, d.AddCampaign(desk.Campaign{ID: "c1", Created: now}, []desk.CampaignNumber{{Number: "+4930123456"}, {Number: "+4930123457"}}))
	numbers := []string{"+4930123456", "030123456"}
	p, err := d.Person(numbers...)
	good(t, err)
	if len(p.Commands) != 2 || len(p.Campaigns) != 1 || p.Campaigns[0].Number != "+4930123456" {
		t.Errorf("person: %+v", p)
	}
	e, err := d.Erase(numbers...)
	good(t, err)
	same(t, "erased", e, desk.Erased{Commands: 2, Numbers: 1})
	p, err = d.Person(numbers...)
	commands, err2 := d.Commands(desk.CommandFilter{})
	waiting, err3 := d.WaitingNumbers("c1", 9)
	good(t, err, err2, err3)
	if len(p.Commands)+len(p.Campaigns) > 0 || len(commands) != 3 || len(waiting) != 1 || waiting[0].Number != "+4930123457" {
		t.Errorf("left: %+v, commands %+v, waiting %+v", p, commands, waiting)
	}
}

func deskTidy(t *testing.T, d Desk, now time.Time) {
	for _, age := range []time.Duration{0, desk.KeepCommands - time.Hour, desk.KeepCommands + time.Hour} {
		good(t, d.AddCommand(&desk.Command{At: now.Add(-age), Who: "x", Command: "pause", Outcome: "ok"}))
	}
	for _, id := range []string{"old", "running"} {
		good(t, d.AddCampaign(desk.Campaign{ID: id, Created: now.Add(-2 * desk.KeepCommands)}, []desk.CampaignNumber{{Number: "1"}}))
	}
	_, err := d.EndCampaign("old", desk.CampaignDone, now.Add(-desk.KeepCommands-time.Hour))
	good(t, err, d.ObserveStates([]desk.AgentState{{Agent: "7", State: desk.AgentIn}}, now.Add(-desk.KeepStates-time.Hour)), d.CutStates(now))
	good(t, d.ObserveStates([]desk.AgentState{{Agent: "7", State: desk.AgentIn}}, now))
	good(t, d.Tidy(now))
	commands, err := d.Commands(desk.CommandFilter{})
	campaigns, err2 := d.Campaigns()
	old, err3 := d.CampaignNumbers("old")
	states, err4 := d.AgentStates("", time.Unix(0, 0), now.Add(time.Hour))
	good(t, err, err2, err3, err4)
	if len(commands) != 2 || len(campaigns) != 1 || campaigns[0].ID != "running" || len(old) != 0 || len(states) != 1 {
		t.Errorf("left: commands %+v, campaigns %+v, numbers %+v, states %+v", commands, campaigns, old, states)
	}
}
