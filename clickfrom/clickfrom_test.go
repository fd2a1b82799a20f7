package clickfrom

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/dialplan"
)

// dialler records the calls that are asked for.
type dialler struct {
	calls []control.DialRequest
	who   []control.Actor
	err   error
	log   bytes.Buffer // of the service
}

func (d *dialler) AgentActor(id, name string) (control.Actor, error) {
	return control.Actor{Name: name, Agent: id, Role: dialplan.RoleAgent}, nil
}

func (d *dialler) Dial(_ context.Context, who control.Actor, in control.DialRequest) (control.DialResult, error) {
	d.calls, d.who = append(d.calls, in), append(d.who, who)
	return control.DialResult{LinkedID: "linked-" + in.Number}, d.err
}

const secret = "application-token-1"

// bitrix returns the table of the preset, and a service with it.
func bitrix(t *testing.T, change func(*Config)) (*Service, *dialler) {
	t.Helper()
	cfg := DefaultConfig()
	text, ok := Preset("bitrix24")
	if !ok {
		t.Fatal("there is no preset bitrix24")
	}
	if _, err := toml.Decode(string(text), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Secret, cfg.To = "bitrix24", secret, []string{"+49*", "+44*"}
	if change != nil {
		change(&cfg)
	}
	cfg.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	d := &dialler{}
	find := func(product, id string) (string, bool) {
		agent, ok := map[string]string{"bitrix24 1269": "7", "bitrix24 1": "8"}[product+" "+id]
		return agent, ok
	}
	s := New(d, find, slog.New(slog.NewTextHandler(&d.log, nil)), prometheus.NewRegistry())
	s.Exchange([]Config{cfg}, []dialplan.Agent{{ID: "7", Phone: "101", Info: "anna@crm.example"}, {ID: "8", Phone: "102"}, {Phone: "103"}})
	return s, d
}

// form returns a request as Bitrix24 sends it. Pairs replace its fields.
func form(pairs ...string) *Request {
	values := url.Values{
		"event": {"ONEXTERNALCALLSTART"}, "data[PHONE_NUMBER]": {"030 123456"}, "data[PHONE_NUMBER_INTERNATIONAL]": {"+4930123456"},
		"data[USER_ID]": {"1269"}, "data[CALL_ID]": {"externalCall.abc.1"}, "auth[application_token]": {secret}, "auth[domain]": {"acme.bitrix24.de"},
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return &Request{Method: "POST", Path: "/click/bitrix24", ContentType: "application/x-www-form-urlencoded; charset=UTF-8", Body: []byte(values.Encode()),
		From: netip.MustParseAddr("203.0.113.5"), Header: func(string) string { return "" }}
}

// A click calls once: the agent is found by the CRM's id, the CRM's call id travels with the call, and a repeat gets the
// same answer.
func TestClick(t *testing.T) {
	s, d := bitrix(t, nil)
	for range 2 {
		answer := s.Answer(t.Context(), form())
		if answer.Status != 200 || !strings.Contains(string(answer.Body), "linked-+4930123456") {
			t.Fatalf("%d %s", answer.Status, answer.Body)
		}
	}
	if len(d.calls) != 1 {
		t.Fatalf("%d calls", len(d.calls))
	}
	call := d.calls[0]
	if call.Agent != "7" || call.Number != "+4930123456" || !maps.Equal(call.Params, map[string]string{"crm_call": "externalCall.abc.1"}) || d.who[0].Role != dialplan.RoleAgent {
		t.Errorf("call %+v by %+v", call, d.who[0])
	}
	s.now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	if answer := s.Answer(t.Context(), form()); answer.Status != 200 || len(d.calls) != 2 {
		t.Errorf("after once_for: %d %s, %d calls", answer.Status, answer.Body, len(d.calls))
	}
}

// A number is compared with to as it is dialled, however the CRM writes it.
func TestNumberAsWritten(t *testing.T) {
	for text, want := range map[string]int{
		"+49 (30) 12-34.56": 200, "\u202a+4930123456\u202c": 200, "＋４９３０１２３４５６": 200, "++4930123456": 200, "'+4930123456": 200, "tel:+4930123456": 200,
		"[+49]30123456": 200, "Tel. +49 (0)30 123456": 200, "\u00a0+4930123456": 200,
		"+1900123456": 403, "tel:+1900123456": 403, "\u202a+1900123456": 403, "tel:": 403, "\u202a": 403, "(+)1900123456": 403, "(+49)": 200,
	} {
		s, d := bitrix(t, nil)
		if answer := s.Answer(t.Context(), form("data[PHONE_NUMBER_INTERNATIONAL]", text)); answer.Status != want {
			t.Errorf("%q: %d %s", text, answer.Status, answer.Body)
		} else if len(d.calls) != map[int]int{200: 1}[want] {
			t.Errorf("%q: %d calls", text, len(d.calls))
		}
	}
}

// A whole number of JSON is the same id however it is written.
func TestWholeNumber(t *testing.T) {
	for text, want := range map[string]string{"7": "7", "7.0": "7", "-7.00": "-7", "9007199254740993.0": "9007199254740993", "7.5": "7.5", "7.05": "7.05", `"7.0"`: "7.0", "1e400": "1e400"} {
		f, err := readFields("", "application/json", []byte(`{"agent":`+text+`}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.at("agent", nil); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A request whose call may have been begun makes no second one. One whose call was not begun may be repeated.
func TestUnclear(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		calls int
	}{
		"refused":         {&control.Error{Code: control.NoPhone, Text: "busy"}, 2},
		"not connected":   {&control.Error{Code: control.Away, Text: "away", Err: ami.ErrAway}, 2},
		"connection lost": {&control.Error{Code: control.Away, Text: "lost", Err: ami.ErrLost}, 1},
		"no answer":       {&control.Error{Code: control.Slow, Text: "slow", Err: context.DeadlineExceeded}, 1},
	} {
		s, d := bitrix(t, nil)
		d.err = tc.err
		if answer := s.Answer(t.Context(), form()); answer.Status == 200 {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
		s.Answer(t.Context(), form())
		if len(d.calls) != tc.calls {
			t.Errorf("%s: %d calls, want %d", name, len(d.calls), tc.calls)
		}
	}
}

// The same fields in JSON, in the URL and in a header.
func TestPlaces(t *testing.T) {
	s, d := bitrix(t, nil)
	r := form()
	r.ContentType = "application/json"
	r.Body = []byte(`{"event":"X","data":{"PHONE_NUMBER_INTERNATIONAL":"+4930123456","USER_ID":1269,"CALL_ID":"c2","list":[1,{"a":true}],"n":null},"auth":{"application_token":"` + secret + `"}}`)
	if answer := s.Answer(t.Context(), r); answer.Status != 200 || len(d.calls) != 1 || d.calls[0].Params["crm_call"] != "c2" {
		t.Errorf("JSON: %d %s", answer.Status, answer.Body)
	}
	s, d = bitrix(t, func(c *Config) {
		c.Method, c.SecretAt, c.Agent, c.AgentBy, c.Number, c.Once, c.Params = "GET", "header Authorization", "from", "phone", "to", "", nil
	})
	r = &Request{Method: "GET", Path: "/click/bitrix24", Query: "from=101&to=%2B4930123456", Header: func(name string) string {
		return map[string]string{"Authorization": "Bearer " + secret}[name]
	}}
	if answer := s.Answer(t.Context(), r); answer.Status != 200 || len(d.calls) != 1 || d.calls[0].Agent != "7" {
		t.Errorf("GET: %d %s", answer.Status, answer.Body)
	}
	r.Query = "from=SIP/gateway/102&to=%2B4930123456"
	if answer := s.Answer(t.Context(), r); answer.Status != 200 || len(d.calls) != 2 || d.calls[1].Agent != "8" {
		t.Errorf("phone behind a gateway: %d %s", answer.Status, answer.Body)
	}
}

// What must not call.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		request *Request
		status  int
		guess   bool
	}{
		"wrong secret":        {form("auth[application_token]", "another"), 403, true},
		"no secret":           {form("auth[application_token]", ""), 403, false},
		"secret twice":        {twice(), 403, false},
		"unknown user":        {form("data[USER_ID]", "1270"), 404, false},
		"no user":             {form("data[USER_ID]", ""), 400, false},
		"premium number":      {form("data[PHONE_NUMBER_INTERNATIONAL]", "+881612345678"), 403, false},
		"dialplan characters": {form("data[PHONE_NUMBER_INTERNATIONAL]", "+4930&Local/900@pbx"), 0, false},
		"no number":           {form("data[PHONE_NUMBER_INTERNATIONAL]", ""), 403, false},
		"GET":                 {method("GET"), 405, false},
		"XML":                 {contentType("text/xml"), 400, false},
		"large":               {body(strings.Repeat("a=b&", 20000)), 400, false},
		"many fields":         {body(manyFields()), 400, false},
		"deep JSON":           {jsonBody(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)), 400, false},
		"no JSON":             {jsonBody(`{"a":`), 400, false},
		"two values of JSON":  {jsonBody(`{} {}`), 400, false},
		"bad escape":          {body("a=%zz"), 400, false},
	} {
		s, d := bitrix(t, nil)
		if name == "dialplan characters" {
			d.err = &control.Error{Code: control.BadRequest, Text: "number is not one"}
			tc.status = 400 // the command itself refuses it
		}
		answer := s.Answer(t.Context(), tc.request)
		if answer.Status != tc.status || answer.Guess != tc.guess || strings.Contains(string(answer.Body), secret) {
			t.Errorf("%s: %d %v %s, want %d", name, answer.Status, answer.Guess, answer.Body, tc.status)
		}
		if name != "dialplan characters" && len(d.calls) > 0 {
			t.Errorf("%s: called", name)
		}
	}
}

func twice() *Request {
	r := form()
	r.Body = append(r.Body, "&auth[application_token]=another"...)
	return r
}

func method(m string) *Request {
	r := form()
	r.Method = m
	return r
}

func contentType(kind string) *Request {
	r := form()
	r.ContentType = kind
	return r
}

func body(text string) *Request {
	r := form()
	r.Body = []byte(text)
	return r
}

func jsonBody(text string) *Request {
	r := contentType("application/json")
	r.Body = []byte(text)
	return r
}

func manyFields() string {
	var b strings.Builder
	for i := range 2000 {
		b.WriteString(url.QueryEscape(strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)) + "=1&")
	}
	return b.String()
}

// Only the addresses of the table are served, and an agent has a maximum number of calls in a minute.
func TestLimits(t *testing.T) {
	s, d := bitrix(t, func(c *Config) { c.Allow, c.Rate = []string{"203.0.113.0/24"}, 2 })
	r := form()
	r.From = netip.MustParseAddr("198.51.100.1")
	if answer := s.Answer(t.Context(), r); answer.Status != 403 || !answer.Guess {
		t.Errorf("another address: %d %v", answer.Status, answer.Guess)
	}
	r = form()
	r.From = netip.MustParseAddr("::ffff:203.0.113.9")
	for i, want := range []int{200, 200, 429} {
		r.Body = form("data[CALL_ID]", string(rune('a'+i))).Body
		if answer := s.Answer(t.Context(), r); answer.Status != want {
			t.Errorf("call %d: %d %s", i+1, answer.Status, answer.Body)
		}
	}
	other := form("data[CALL_ID]", "z", "data[USER_ID]", "1")
	if answer := s.Answer(t.Context(), other); answer.Status != 200 {
		t.Errorf("another agent: %d %s", answer.Status, answer.Body)
	}
	s.now = func() time.Time { return time.Now().Add(time.Minute) }
	if answer := s.Answer(t.Context(), r); answer.Status != 200 || len(d.calls) != 4 {
		t.Errorf("a minute later: %d %s", answer.Status, answer.Body)
	}
}

// A call that does not come about can be asked for again; one that the agent has just begun is a repeat.
func TestFailedCall(t *testing.T) {
	s, d := bitrix(t, nil)
	d.err = &control.Error{Code: control.Away, Text: "not connected to Asterisk's manager interface"}
	if answer := s.Answer(t.Context(), form()); answer.Status != 503 {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}
	d.err = &control.Error{Code: control.Repeat, Text: "the call has begun already"}
	if answer := s.Answer(t.Context(), form()); answer.Status != 200 || !strings.Contains(string(answer.Body), "repeat") {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}
}

// Requests that fail fill no log: the first failure is logged, and those that follow are counted.
func TestFailuresAreCounted(t *testing.T) {
	s, d := bitrix(t, func(c *Config) { c.Rate = 60 })
	d.err = errors.New("desk.db cannot be written")
	for i := range 20 {
		if answer := s.Answer(t.Context(), form("data[CALL_ID]", strconv.Itoa(i))); answer.Status != 503 {
			t.Fatalf("%d %s", answer.Status, answer.Body)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(d.log.String(), "click-to-call failed"); n != 2 || !strings.Contains(d.log.String(), "repeated=19") {
		t.Errorf("%d lines:\n%s", n, d.log.String())
	}
}

// Paths without a table are not served.
func TestServes(t *testing.T) {
	s, _ := bitrix(t, nil)
	for path, want := range map[string]bool{"/click/bitrix24": true, "/click/": false, "/click/other": false, "/v1/calls": false, "/click/bitrix24/x": false} {
		if got := s.Serves(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if answer := s.Answer(t.Context(), &Request{Path: "/click/gone"}); answer.Status != 404 {
		t.Errorf("%d", answer.Status)
	}
}

// Every preset is complete but for name and secret.
func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		cfg := DefaultConfig()
		text, _ := Preset(name)
		meta, err := toml.Decode(string(text), &cfg)
		if err != nil || len(meta.Undecoded()) > 0 || !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s: %v, unknown %v", name, err, meta.Undecoded())
		}
		cfg.Name, cfg.Secret = name, secret
		cfg.Check(func(key, problem string) { t.Errorf("%s: %s: %s", name, key, problem) })
	}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"name":      {func(c *Config) { c.Name = "a b" }, "name"},
		"method":    {func(c *Config) { c.Method = "PUT" }, "method"},
		"allow":     {func(c *Config) { c.Allow = []string{"crm.example"} }, "allow"},
		"no secret": {func(c *Config) { c.Secret = "" }, "secret"},
		"short":     {func(c *Config) { c.Secret = "1234" }, "secret"},
		"agent":     {func(c *Config) { c.Agent = "" }, "agent"},
		"place":     {func(c *Config) { c.Number = "a b" }, "number"},
		"param":     {func(c *Config) { c.Params = map[string]string{"CallerID": "x"} }, "params"},
		"to":        {func(c *Config) { c.To = []string{"ab"} }, "to"},
		"nothing":   {func(c *Config) { c.To = nil }, "to"},
		"rate":      {func(c *Config) { c.Rate = 0 }, "rate"},
		"once_for":  {func(c *Config) { c.OnceFor = 0 }, "once_for"},
		"caller_id": {func(c *Config) { c.CallerID = "Anna" }, "caller_id"},
	} {
		cfg := DefaultConfig()
		cfg.Name, cfg.Secret, cfg.SecretAt, cfg.Agent, cfg.Number = "crm", secret, "token", "from", "to"
		tc.change(&cfg)
		var keys []string
		cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != tc.want {
			t.Errorf("%s: reports %q, want %q", name, got, tc.want)
		}
	}
}

// FuzzFields checks that any request is read within its bounds.
func FuzzFields(f *testing.F) {
	f.Add("a=1&b[c]=2", "application/x-www-form-urlencoded", []byte("data[USER_ID]=1"))
	f.Add("", "application/json", []byte(`{"a":{"b":[1,"x",null,true]}}`))
	f.Add("%", "application/json", []byte(`{"a":1}{`))
	f.Fuzz(func(t *testing.T, query, kind string, body []byte) {
		got, err := readFields(query, kind, body)
		if err != nil {
			return
		}
		if len(got.values) > maxFields {
			t.Errorf("%d fields", len(got.values))
		}
		for name := range got.values {
			if len(name) > maxName {
				t.Errorf("a name of %d bytes", len(name))
			}
			if value := got.at(name, func(string) string { return "" }); len(value) > maxValue {
				t.Errorf("a value of %d bytes", len(value))
			}
		}
	})
}
