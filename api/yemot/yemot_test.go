package yemot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/control/campaign"
	"ringhook/store/desk"
)

// board stands for the PBX: a fixed state, and a record of the commands that reach it.
type board struct {
	live     control.Live
	accounts *control.AccountList // nil: they are off
	done     []string
	err      error
}

func (b *board) StartCampaign(_ context.Context, _ control.Actor, in control.CampaignRequest) (control.CampaignResult, error) {
	b.done = append(b.done, fmt.Sprintf("call %s to %q as %q for %d s, cut %t", in.Numbers, in.To, in.CallerID, in.Timeout, in.CutTimeout))
	entries, err := campaign.ParseNumbers(in.Numbers, 5000)
	if err != nil {
		return control.CampaignResult{}, err
	}
	r := control.CampaignResult{Campaign: "k3x9a2bq7c5d4e2f", Count: len(entries), Timeout: 30, Errors: map[string]string{}}
	if in.Timeout > 0 {
		r.Timeout = in.Timeout
	}
	for _, e := range entries {
		if e.Number == "0" {
			r.Count--
			r.Errors["0"] = "is not allowed"
		}
	}
	return r, b.err
}

func (b *board) Accounts(control.Actor, string) (control.AccountList, error) {
	if b.accounts == nil {
		return control.AccountList{}, control.ErrAccountsOff
	}
	return *b.accounts, b.err
}

func (b *board) CreateAccount(_ context.Context, _ control.Actor, in control.AccountRequest) (r control.AccountCreated, err error) {
	b.done = append(b.done, fmt.Sprintf("create %q", in.Extension))
	if b.accounts == nil {
		return r, control.ErrAccountsOff
	}
	r.Name, r.Extension, r.Password = cmp.Or(in.Extension, "12345678"), in.Extension, "s3cret"
	return r, b.err
}

func (b *board) ChangeAccount(_ context.Context, _ control.Actor, in control.AccountChange) (a control.Account, err error) {
	change := "change " + in.Account
	for name, value := range map[string]*string{" extension": in.Extension, " caller": in.CallerID, " transport": in.Transport} {
		if value != nil {
			change += fmt.Sprintf("%s %q", name, *value)
		}
	}
	b.done = append(b.done, change)
	if in.Account != "201" {
		return a, &control.Error{Code: control.Unknown, Text: "there is no account " + in.Account}
	}
	a.Name = in.Account
	if in.Extension != nil {
		a.Extension = *in.Extension
	}
	return a, b.err
}

func (b *board) DeleteAccount(_ context.Context, _ control.Actor, in control.AccountDeletion) (a control.Account, err error) {
	b.done = append(b.done, "delete "+in.Account)
	if in.Account != "201" && in.Account != "202" {
		return a, &control.Error{Code: control.Unknown, Text: "there is no account " + in.Account}
	}
	return a, b.err
}

func (b *board) Live() control.Live { return b.live }

func (b *board) Contacts(_ context.Context, p *control.Phone) ([]control.Contact, error) {
	expires := time.Unix(1768473741, 0)
	return []control.Contact{{URI: "sip:" + p.Phone + "@192.0.2.7:5061", UserAgent: "Phone/1", Via: "192.0.2.7:5061", Expires: &expires}}, b.err
}

func (b *board) Agents(control.Actor) []control.AgentView {
	return []control.AgentView{{Agent: "7", Phone: "101"}, {Agent: "8", Phone: "102"}}
}

func (b *board) Kick(_ context.Context, _ control.Actor, in control.KickRequest) (r control.Results, err error) {
	b.done = append(b.done, fmt.Sprintf("kick %s/%s %v to %q", in.Server, in.Queue, in.Calls, in.To))
	codes := map[string]control.Result{"1.1": {Result: control.OK}, "1.2": {Result: control.Connected}, "1.3": {Result: control.PBX, Error: "Asterisk refused"}}
	for _, id := range in.Calls {
		one, known := codes[id]
		if !known {
			one.Result = control.Unknown
		}
		one.Call = id
		r.Results = append(r.Results, one)
	}
	return r, b.err
}

func (b *board) pause(what string, in control.PauseRequest) (control.Results, error) {
	b.done = append(b.done, fmt.Sprintf("%s %s %s %v", what, in.Agent, in.Server, in.Queues))
	if in.Agent == "8" {
		return control.Results{Results: []control.Result{{Result: control.State, Error: "not logged in"}}}, b.err
	}
	return control.Results{Results: []control.Result{{Result: control.OK}}}, b.err
}

func (b *board) Pause(_ context.Context, _ control.Actor, in control.PauseRequest) (control.Results, error) {
	return b.pause("pause", in)
}

func (b *board) Resume(_ context.Context, _ control.Actor, in control.PauseRequest) (control.Results, error) {
	return b.pause("resume", in)
}

// uses stores what numbers are used for.
type uses map[string]string

func (u uses) SetDIDUse(d desk.DIDUse) error {
	u[d.DID] = d.Type + ":" + d.Target
	return nil
}

func (u uses) RemoveDIDUse(did string) (bool, error) {
	_, had := u[did]
	delete(u, did)
	return had, nil
}

func newBoard() *board {
	return &board{live: control.Live{
		Servers: []control.Server{{Server: "pbx", Connected: true}},
		Queues: []control.Queue{{
			Server: "pbx", ID: "500", Strategy: "ringall", Completed: 4, Abandoned: 1,
			Waiting: []control.Waiter{{LinkedID: "1.1", UniqueID: "1.1", Caller: "0501234567", Position: 1, Since: time.Now().Add(time.Hour)}},
			Members: []control.Member{{Phone: "101", State: "free", Paused: true, Penalty: 2, Taken: 3}, {Phone: "102", State: "unknown", InCall: true}},
		}},
		Phones: []control.Phone{
			{Phone: "101", Device: "PJSIP/101", Registered: true}, {Phone: "102", Device: "PJSIP/102"}, {Phone: "9", Device: "SIP/9", Registered: true},
		},
	}}
}

// TestAnswers checks the answer to each command, and what it asks of the PBX.
func TestAnswers(t *testing.T) {
	const noSIP = `{"responseStatus":"ERROR","message":"שרת זה אינו תומך במערכת SIP","yAfastVersion":"any"}`
	for _, c := range []struct{ name, command, params, want, done string }{
		{"queue", "GetQueueRealTime", `{"queuePath":"ivr2:/500"}`, `{"responseStatus":"OK","queueData":{"Calls":1,"Completed":4,"Abandoned":1,"TalkTime":0,"Holdtime":0,"Max":0,"Strategy":"ringall"},` +
			`"members":[{"agent":"101","Status":"1","CallsTaken":3,"Paused":true,"Penalty":"2"},{"agent":"102","Status":"2","CallsTaken":0,"Paused":false,"Penalty":"0"}],` +
			`"entries":[{"phone":"0501234567","Wait":0,"WaitAgo":"00:00","Position":1,"CallId":"1.1"}]}`, ""},
		{"queue by a number", "getqueuerealtime", `{"queuePath":501}`, `{"responseStatus":"ERROR","message":"queue does not exist"}`, ""},
		{"queue without a path", "GetQueueRealTime", `{}`, `{"responseStatus":"ERROR","message":"queuePath is missing"}`, ""},
		{"kick", "QueueManagement", `{"queuePath":"/500","action":"kick","callIds":["1.1","1.2","1.3","1.4","1.1"],"moreData":"GOTO:/1"}`,
			`{"responseStatus":"OK","status":{"1.1":"OK","1.2":"Call not found","1.3":"Asterisk refused","1.4":"Call not found"}}`, `kick pbx/500 [1.1 1.2 1.3 1.4] to "1"`},
		{"kick without a destination", "QueueManagement", `{"queuePath":"500","action":"kick","callIds":"1.1"}`, `{"responseStatus":"OK","status":{"1.1":"OK"}}`, `kick pbx/500 [1.1] to ""`},
		{"kick to nowhere", "QueueManagement", `{"queuePath":"500","action":"kick","callIds":["1.1"],"moreData":"HANGUP"}`, `{"responseStatus":"ERROR","message":"moreData must be GOTO: and a path"}`, ""},
		{"pause", "QueueManagement", `{"queuePath":"500","action":"pause","agent":"101"}`, `{"responseStatus":"OK"}`, "pause 7 pbx [500]"},
		{"unpause by id", "QueueManagement", `{"queuePath":"500","action":"unpause","agent":7}`, `{"responseStatus":"OK"}`, "resume 7 pbx [500]"},
		{"pause of one who is not there", "QueueManagement", `{"queuePath":"500","action":"pause","agent":"102"}`, `{"responseStatus":"ERROR","message":"not logged in"}`, "pause 8 pbx [500]"},
		{"pause of an unknown agent", "QueueManagement", `{"queuePath":"500","action":"pause","agent":"1"}`, `{"responseStatus":"ERROR","message":"agent not found: the configuration needs one [[agent]] with this phone or id"}`, ""},
		{"another action", "QueueManagement", `{"queuePath":"500","action":"play"}`, `{"responseStatus":"ERROR","message":"bad action: use kick, pause or unpause"}`, ""},
		{"contexts", "SipGetContexts", `{}`, `{"responseStatus":"OK","contexts":[{"endpoint":"101","expiration_time":1768473741,"uri":"sip:101@192.0.2.7:5061","user_agent":"Phone/1","via_addr":"192.0.2.7","via_port":5061}]}`, ""},
		{"contexts of a phone", "SipGetContexts", `{"accountNumber":102}`, `{"responseStatus":"OK","contexts":[]}`, ""},
		{"contexts of none", "SipGetContexts", `{"accountNumber":"9"}`, `{"responseStatus":"ERROR","message":"account does not exist"}`, ""},
		{"registered", "GetSipAccountsRegisteredStatus", `{}`, `{"responseStatus":"OK","accounts":[{"userName":"101","createdDate":null,"registered":true},{"userName":"102","createdDate":null,"registered":false}]}`, ""},
		{"use", "SetSecondaryDIDUsageDescription", `{"secondaryDidId":"0771234567","newUsage":"sip:101"}`, `{"responseStatus":"OK","status":true}`, ""},
		{"use of another kind", "SetSecondaryDidUsageDescription", `{"secondaryDidId":1,"newUsage":"fax:1"}`,
			`{"responseStatus":"ERROR","message":"newUsage must be sip: and an extension, or goto: and a path; letters, digits and _-.*#+/ are possible"}`, ""},
		{"list of accounts", "GetSipAccountsInCustomer", `{}`, noSIP, ""},
		{"creation of an account", "CreateSipAccount", `{"extNumber":201}`, noSIP, `create "201"`},
		{"deletion of accounts", "DeleteSipAccount", `{"accountNumber":[1,2]}`, noSIP, ""},
		{"extension of an account", "SipExtensionManagement", `{"action":"Get","accountNumber":1}`, noSIP, ""},
		{"caller id of an account", "EditCallerIdInSipAccount", `{"accountNumber":1,"callerId":"0771234567"}`, noSIP, ""},
		{"to WSS", "SipToWss", `{"accountNumber":1}`, noSIP, ""},
		{"to UDP", "SipToUdp", `{"accountNumber":1}`, noSIP, ""},
		{"bridging", "CallExtensionBridging", `{"phones":"0501234567:0501234568:0","ivrPath":"ivr2:/menu","callerId":"0771234567","callsTimeOut":20}`,
			`{"responseStatus":"OK","module":"CallExtensionBridging","callerId":"0771234567","callsCount":2,"bilingPerCall":0,"errors":{"0":"is not allowed"},"callsTimeout":20,"campaignId":"k3x9a2bq7c5d4e2f"}`,
			`call "0501234567:0501234568:0" to "menu" as "0771234567" for 20 s, cut true`},
		{"bridging of a list", "CallExtensionBridging", `{"phones":["0501234567",501234568],"ivrPath":"/1"}`, bridged(2), `call ["0501234567",501234568] to "1" as "" for 0 s, cut true`},
		{"bridging of objects", "CallExtensionBridging", `{"phones":[{"phone":"0501234567","callerId":"0771234567"}],"ivrPath":"1"}`, bridged(1), `call [{"phone":"0501234567","callerId":"0771234567"}] to "1" as "" for 0 s, cut true`},
		{"bridging of a group", "CallExtensionBridging", `{"phones":[{"phones":["0501234567","0501234568"],"callerId":"0771234567"}],"ivrPath":"1"}`, bridged(2), `call [{"phones":["0501234567","0501234568"],"callerId":"0771234567"}] to "1" as "" for 0 s, cut true`},
		{"bridging of JSON in a form", "CallExtensionBridging", `{"phones":"[\"0501234567\"]","ivrPath":"1"}`, bridged(1), `call ["0501234567"] to "1" as "" for 0 s, cut true`},
		{"bridging of one object", "CallExtensionBridging", `{"phones":{"phones":"0501234567:0501234568"},"ivrPath":"1"}`, bridged(2), `call [{"phones":"0501234567:0501234568"}] to "1" as "" for 0 s, cut true`},
		{"bridging without phones", "CallExtensionBridging", `{"ivrPath":"1"}`, failed("phones is missing"), ""},
		{"bridging of nothing", "CallExtensionBridging", `{"phones":"::","ivrPath":"1"}`, failed("phones: numbers is empty"), ""},
		{"bridging of a stored list", "CallExtensionBridging", `{"phones":"tpl:123","ivrPath":"1"}`, failed("stored lists are not supported: send the numbers"), ""},
		{"bridging to nowhere", "CallExtensionBridging", `{"phones":"0501234567"}`, failed("ivrPath is missing"), ""},
		{"bridging for too long", "CallExtensionBridging", `{"phones":"0501234567","ivrPath":"1","callsTimeOut":36}`, failed("callsTimeOut must be 1 to 35 seconds"), ""},
		{"bridging of many", "CallExtensionBridging", `{"phones":"` + strings.Repeat("0501234567:", 501) + `","ivrPath":"1"}`, failed("phones: more than 500 numbers"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Params
			if err := json.Unmarshal([]byte(c.params), &p); err != nil {
				t.Fatal(err)
			}
			b := newBoard()
			answer, err := New(b, uses{}).Answer(t.Context(), c.command, p)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if done := strings.Join(b.done, "; "); done != c.done {
				t.Errorf("asked of the PBX: %q, want %q", done, c.done)
			}
		})
	}
}

func failed(message string) string {
	return `{"responseStatus":"ERROR","message":"` + message + `"}`
}

// bridged is the answer to CallExtensionBridging without options.
func bridged(count int) string {
	return fmt.Sprintf(`{"responseStatus":"OK","module":"CallExtensionBridging","callerId":"","callsCount":%d,"bilingPerCall":0,"errors":{},"callsTimeout":30,"campaignId":"k3x9a2bq7c5d4e2f"}`, count)
}

// TestAccountAnswers checks the answers to the commands for SIP accounts, if they are on.
func TestAccountAnswers(t *testing.T) {
	created := time.Date(2026, 1, 15, 10, 42, 21, 0, time.Local)
	account := func(name, extension, callerID, transport string, contacts int) control.Account {
		return control.Account{SIPAccount: desk.SIPAccount{Server: "pbx", Name: name, Extension: extension, CallerID: callerID, Transport: transport, Created: created}, Contacts: contacts}
	}
	for _, c := range []struct{ name, command, params, want, done string }{
		{"list", "GetSipAccountsInCustomer", `{}`, `{"responseStatus":"OK","accounts":[` +
			`{"id":"201","accountNumber":201,"customerExtension":250,"transport":"wss","callerid":"0771234567","specialCallerID":"0771234567","password":"","created_date":"2026-01-15 10:42:21","contactsCount":1},` +
			`{"id":"a_1","accountNumber":"a_1","customerExtension":null,"transport":"","callerid":"a_1","specialCallerID":null,"password":"","created_date":"2026-01-15 10:42:21","contactsCount":0}],"accountLimit":500}`, ""},
		{"create", "CreateSipAccount", `{"extNumber":"201"}`, `{"responseStatus":"OK","accountID":"201","accountNumber":201,"PASS":"s3cret"}`, `create "201"`},
		{"create without an extension", "CreateSipAccount", `{}`, `{"responseStatus":"OK","accountID":"12345678","accountNumber":12345678,"PASS":"s3cret"}`, `create ""`},
		{"delete", "DeleteSipAccount", `{"accountNumber":201}`, `{"responseStatus":"OK","affected_rows":1}`, "delete 201"},
		{"delete several", "DeleteSipAccount", `{"accountNumber":[201,"202",999]}`, `{"responseStatus":"OK","affected_rows":2}`, "delete 201; delete 202; delete 999"},
		{"delete none", "DeleteSipAccount", `{}`, failed("accountNumber is missing"), ""},
		{"delete many", "DeleteSipAccount", `{"accountNumber":"` + strings.Repeat("1:", 51) + `"}`, failed("more than 50 accounts"), ""},
		{"delete objects", "DeleteSipAccount", `{"accountNumber":[{}]}`, failed("accountNumber must be a list of texts"), ""},
		{"extension", "SipExtensionManagement", `{"action":"Get","accountNumber":201}`, `{"responseStatus":"OK","extNumber":250}`, ""},
		{"extension of none", "SipExtensionManagement", `{"action":"Get","accountNumber":999}`, failed("account does not exist"), ""},
		{"set the extension", "SipExtensionManagement", `{"action":"Set","accountNumber":201,"extNumber":251}`, `{"responseStatus":"OK","extNumber":251}`, `change 201 extension "251"`},
		{"remove the extension", "SipExtensionManagement", `{"action":"set","accountNumber":"201","extNumber":""}`, `{"responseStatus":"OK","extNumber":null}`, `change 201 extension ""`},
		{"another action", "SipExtensionManagement", `{"action":"Drop","accountNumber":201}`, failed("bad action: use Get or Set"), ""},
		{"caller id", "EditCallerIdInSipAccount", `{"accountNumber":201,"callerId":"0771234567"}`, `{"responseStatus":"OK"}`, `change 201 caller "0771234567"`},
		{"caller id of another", "EditCallerIdInSipAccount", `{"accountNumber":999,"callerId":"0771234567"}`, failed("there is no account 999"), `change 999 caller "0771234567"`},
		{"caller id of nothing", "EditCallerIdInSipAccount", `{"callerId":"0771234567"}`, failed("accountNumber is missing"), ""},
		{"to WSS", "SipToWSS", `{"accountNumber":201}`, `{"responseStatus":"OK"}`, `change 201 transport "wss"`},
		{"to UDP", "SipToUdp", `{"accountNumber":201}`, `{"responseStatus":"OK"}`, `change 201 transport "udp"`},
		{"registered", "GetSipAccountsRegisteredStatus", `{}`, `{"responseStatus":"OK","accounts":[{"userName":"101","createdDate":null,"registered":true},{"userName":"102","createdDate":null,"registered":false},` +
			`{"userName":"201","createdDate":` + jsonTime(created) + `,"registered":true}]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBoard()
			b.accounts = &control.AccountList{Accounts: []control.Account{account("201", "250", "0771234567", "wss", 1), account("a_1", "", "", "", 0)}, Limit: 500}
			b.live.Phones = append(b.live.Phones, control.Phone{Server: "pbx", Phone: "201", Device: "PJSIP/201", Registered: true})
			var p Params
			if err := json.Unmarshal([]byte(c.params), &p); err != nil {
				t.Fatal(err)
			}
			answer, err := New(b, uses{}).Answer(t.Context(), c.command, p)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if done := strings.Join(b.done, "; "); string(got) != c.want || done != c.done {
				t.Errorf("got\n%s\nwant\n%s\nasked of the PBX: %q, want %q", got, c.want, done, c.done)
			}
		})
	}
}

func jsonTime(t time.Time) string {
	text, err := json.Marshal(t)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestAway checks what is answered if Asterisk is not connected, or fails.
func TestAway(t *testing.T) {
	b := newBoard()
	b.live.Servers[0].Connected = false
	for _, command := range []string{"GetQueueRealTime", "SipGetContexts", "GetSipAccountsRegisteredStatus"} {
		answer, err := New(b, uses{}).Answer(t.Context(), command, Params{"queuePath": json.RawMessage(`"500"`)})
		if want := Failure("not connected to Asterisk"); err != nil || !reflect.DeepEqual(answer, want) {
			t.Errorf("%s: %v, %v", command, answer, err)
		}
	}
	b.live.Servers = append(b.live.Servers, control.Server{Server: "other", Connected: true})
	for command, want := range map[string]any{
		"GetQueueRealTime": Failure("not connected to an Asterisk that may have the queue"),
		"SipGetContexts":   Failure("not connected to an Asterisk that may have the account"),
	} {
		answer, err := New(b, uses{}).Answer(t.Context(), command, Params{"queuePath": json.RawMessage(`"501"`), "accountNumber": json.RawMessage(`"9"`)})
		if err != nil || !reflect.DeepEqual(answer, want) {
			t.Errorf("%s: %v, %v", command, answer, err)
		}
	}
	b = newBoard()
	b.err = &control.Error{Code: control.Slow, Text: "no answer in time"}
	answer, err := New(b, uses{}).Answer(t.Context(), "SipGetContexts", Params{})
	if want := Failure("no answer in time"); err != nil || !reflect.DeepEqual(answer, want) {
		t.Errorf("slow: %v, %v", answer, err)
	}
	b.err = errors.New("broken")
	answer, err = New(b, uses{}).Answer(t.Context(), "SipGetContexts", Params{})
	if want := Failure("failed; the log has the reason"); !errors.Is(err, b.err) || !reflect.DeepEqual(answer, want) {
		t.Errorf("broken: %v, %v", answer, err)
	}
}

// TestDIDUse checks what is stored of a number's use.
func TestDIDUse(t *testing.T) {
	stored := uses{}
	y := New(newBoard(), stored)
	for _, c := range []struct {
		did, usage string
		want       uses
	}{
		{"+972771234567", "goto:/1/2", uses{"972771234567": "goto:/1/2"}},
		{"972771234567", "sip:201", uses{"972771234567": "sip:201"}},
		{"972771234567", "sip:1,2", uses{"972771234567": "sip:201"}},
		{"972771234567", "sip:", uses{"972771234567": "sip:201"}},
		{"972771234567", "sip:" + strings.Repeat("1", maxTarget+1), uses{"972771234567": "sip:201"}},
		{"x", "sip:1", uses{"972771234567": "sip:201"}},
		{"", "sip:1", uses{"972771234567": "sip:201"}},
		{"972771234567", "", uses{}},
	} {
		did, _ := json.Marshal(c.did)
		usage, _ := json.Marshal(c.usage)
		if _, err := y.Answer(t.Context(), "SetSecondaryDidUsageDescription", Params{"secondaryDidId": did, "newUsage": usage}); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(stored, c.want) {
			t.Errorf("%s %s: %v, want %v", c.did, c.usage, stored, c.want)
		}
	}
}

// TestParse checks the forms in which parameters come.
func TestParse(t *testing.T) {
	for _, c := range []struct{ name, query, kind, body, text, list, fault string }{
		{name: "query", query: "a=1&l=x:y", text: "1", list: "x y"},
		{name: "form", kind: "application/x-www-form-urlencoded", body: "a=%20b%20&l=%5B%22x%22%2C2%5D", text: "b", list: "x 2"},
		{name: "JSON", kind: "application/json; charset=utf-8", body: `{"a": 5, "l": ["x", 7]}`, text: "5", list: "x 7"},
		{name: "both", query: "a=1", kind: "application/json", body: `{"l": "x"}`, text: "1", list: "x"},
		{name: "twice", query: "a=1", kind: "application/json", body: `{"a": "x"}`, fault: "a parameter is given twice"},
		{name: "twice in the query", query: "a=1&a=2", fault: "a parameter is given twice"},
		{name: "another type", kind: "text/xml", body: "<a/>", fault: "send the parameters as JSON or as a form"},
		{name: "no object", kind: "application/json", body: `[1]`, fault: "the body is not a JSON object"},
		{name: "more", kind: "application/json", body: `{} {}`, fault: "there is more after the JSON object"},
		{name: "bad escape", query: "a=%zz", fault: "the parameters are not encoded as a form"},
		{name: "list of lists", kind: "application/json", body: `{"l": [[1]]}`, fault: "l must be a list of texts"},
		{name: "object for a list", kind: "application/json", body: `{"l": {}}`, fault: "l must be a list"},
		{name: "long list", query: "l=" + strings.Repeat("1:", maxList+1), fault: "l has more than 500 entries"},
		{name: "many", query: "&" + strings.TrimSuffix(manyParams(maxParams+1), "&"), fault: "more than 64 parameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse(c.query, c.kind, []byte(c.body))
			var list []string
			if err == nil {
				list, err = p.list("l")
			}
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if fault != c.fault || err == nil && (p.Text("a") != c.text || strings.Join(list, " ") != c.list) {
				t.Errorf("text %q, list %q, error %q; want %q, %q, %q", p.Text("a"), list, fault, c.text, c.list, c.fault)
			}
		})
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d=1&", i)
	}
	return b.String()
}

// FuzzParse checks that no request makes more parameters or longer lists than are allowed.
func FuzzParse(f *testing.F) {
	f.Add("a=1&l=x:y", "application/json", `{"l":[1,"2"]}`)
	f.Add("l=%5B1%5D", "application/x-www-form-urlencoded", "b=1")
	f.Add("phones=%7B%22phones%22%3A%221%3A2%22%7D", "application/json", `{"p":[{"phone":"1","callerId":"2"},{"phones":["3",4]}]}`)
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		p, err := Parse(query, kind, []byte(body))
		if err != nil {
			return
		}
		if len(p) > maxParams {
			t.Errorf("%d parameters", len(p))
		}
		for name := range p {
			if list, err := p.list(name); err == nil && len(list) > maxList {
				t.Errorf("%d entries", len(list))
			}
			_ = place(p.Text(name))
			phones := Params{"phones": p[name]}
			if list, err := phones.phones(); err == nil {
				if entries, err := campaign.ParseNumbers(list, maxCalls); err != nil || len(entries) > maxCalls {
					t.Errorf("%d phones, %v", len(entries), err)
				}
			}
		}
	})
}

// TestCheck checks which settings are refused.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		keys string
	}{
		{DefaultConfig(), ""},
		{Config{Path: "/ym/api/", Token: strings.Repeat("a", 16)}, ""},
		{Config{Path: "/v1/ym/"}, "path"},
		{Config{Path: "/"}, "path"},
		{Config{Path: "/ym"}, "path"},
		{Config{Path: "/ym/%2e/"}, "path"},
		{Config{Path: "/ym/", Token: "short"}, "token"},
	} {
		var keys []string
		c.cfg.Check(func(key, _ string) { keys = append(keys, key) }, "/v1/")
		if got := strings.Join(keys, " "); got != c.keys {
			t.Errorf("%+v: mistakes in %q, want %q", c.cfg, got, c.keys)
		}
	}
}
