package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/api/yemot"
	"ringhook/clickfrom"
	"ringhook/control"
	"ringhook/store/desk"
	"ringhook/test/wait"
)

// operation is a route of a description.
type operation struct {
	route  string // method and path
	query  []string
	fields map[string]string // types of the fields of the body, "" for any
	body   bool
	stream bool
}

// part matches a part of a path.
var part = regexp.MustCompile(`\{([a-z]+)\}`)

// commands reports whether a route asks Asterisk for something, or could.
func (o *operation) commands() bool {
	_, path, _ := strings.Cut(o.route, " ")
	return slices.ContainsFunc([]string{"/v1/me", "/v1/agents", "/v1/calls", "/v1/queues", "/v1/phones", "/v1/campaigns", "/v1/accounts"}, func(base string) bool {
		return strings.HasPrefix(path, base)
	})
}

// schema is that of a value.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]schema
}

// operations reads the description of a port.
func (h *House) operations(base string) map[string]*operation {
	h.t.Helper()
	_, text := h.Send("administrator", "GET", base+"/v1/openapi.json", "", "")
	type contents map[string]struct{ Schema schema }
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name, In string }
			RequestBody *struct{ Content contents }
			Responses   map[string]struct{ Content contents }
		}
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Paths) == 0 {
		h.t.Fatalf("%v in %.200s", err, text)
	}
	all := map[string]*operation{}
	for path, methods := range doc.Paths {
		for method, described := range methods {
			o := &operation{route: strings.ToUpper(method) + " " + path, fields: map[string]string{}}
			for _, p := range described.Parameters {
				if p.In == "query" {
					o.query = append(o.query, p.Name)
				}
			}
			for _, answer := range described.Responses {
				_, streams := answer.Content["text/event-stream"]
				o.stream = o.stream || streams
			}
			if described.RequestBody != nil {
				o.body = true
				in := described.RequestBody.Content["application/json"].Schema
				if in.Ref != "" {
					in = doc.Components.Schemas[strings.TrimPrefix(in.Ref, "#/components/schemas/")]
				}
				for name, field := range in.Properties {
					o.fields[name] = field.Type
				}
			}
			all[o.route] = o
		}
	}
	return all
}

// Inject puts every hostile value into every parameter of every route that a port describes, and looks at what reaches
// Asterisk: nothing but the action that the route is for, with values that cannot be more than values. Base is the URL of the
// port without a path.
func (h *House) Inject(base string) {
	h.t.Helper()
	if err := h.Store.Desk().AddCampaign(desk.Campaign{ID: "c1", Server: "pbx", Created: time.Now(), Settings: "{}"}, []desk.CampaignNumber{{Number: "1"}}); err != nil {
		h.t.Fatal(err)
	}
	all, requests := h.operations(base), 0
	for route, o := range all {
		if !o.stream && !slices.ContainsFunc(intents, func(in intent) bool { return in.route == route }) {
			h.t.Errorf("%s has no row in intents: say what it asks Asterisk for", route)
		}
	}
	for _, in := range intents {
		o := all[in.route]
		if o == nil || o.stream { // a row of another port
			continue
		}
		method, _, _ := strings.Cut(in.route, " ")
		for _, name := range append([]string{""}, o.parameters()...) {
			token := in.as
			switch token {
			case "":
				token = "administrator"
			case "agent": // a token may give a number of commands at once
				token = h.Another("7")
			case "agent 8":
				token = h.Another("8")
			}
			for _, value := range o.hostile(name) {
				before := len(h.PBX.Requests(""))
				target, body := in.fill(o, name, value)
				resp, text := h.Send(token, method, base+target, "application/json", body)
				requests++
				h.settle(&in)
				h.judge(&in, before, name, value)
				if resp.StatusCode >= 500 && o.commands() {
					h.t.Errorf("%s with %s = %.80q: %d %s", in.route, name, value, resp.StatusCode, text)
				}
				if name == "" {
					if resp.StatusCode >= 400 && o.commands() && !in.any {
						h.t.Errorf("%s: %s %s with good values: %d %s", in.route, target, body, resp.StatusCode, text)
					}
					break
				}
			}
		}
	}
	h.t.Logf("%d requests", requests)
	h.judgeAll()
}

// hostile are the values to try: all for a text that a command gets, and some for what is none, or asks Asterisk nothing.
func (o *operation) hostile(name string) []string {
	if typ := o.fields[name]; o.commands() && (typ == "" || typ == "string" || typ == "array") {
		return hostile
	}
	return hostile[:3]
}

// judge checks which actions a request caused.
func (h *House) judge(in *intent, before int, name, value string) {
	h.t.Helper()
	caused := map[string]bool{}
	for _, sent := range h.PBX.Requests("")[before:] {
		caused[sent.Action] = true
		if !slices.Contains(background, sent.Action) && sent.Action != in.must && !slices.Contains(strings.Fields(in.may), sent.Action) {
			h.t.Errorf("%s with %s = %.80q caused the action %s", in.route, name, value, sent.Action)
		}
	}
	if name == "" && in.must != "" && !caused[in.must] {
		h.t.Errorf("%s did not cause the action %s", in.route, in.must)
	}
}

// judgeAll checks every field of every action that Asterisk got.
func (h *House) judgeAll() {
	h.t.Helper()
	seen := map[string]int{}
	for _, sent := range h.PBX.Requests("") {
		seen[sent.Action]++
		fields, known := sentActions[sent.Action]
		if !known {
			h.t.Errorf("Asterisk got the action %q", sent.Action)
		}
		for _, f := range sent.Fields {
			key := f[0]
			if sent.Action == "UpdateConfig" {
				key = numbered.ReplaceAllString(key, "")
			}
			if pattern := fields[key]; pattern == nil || !pattern.MatchString(f[1]) {
				h.t.Errorf("Asterisk got %s with %s: %.120q", sent.Action, f[0], f[1])
			}
		}
	}
	h.t.Logf("they caused %v", seen)
}

// numbered matches the number at the end of a field of UpdateConfig.
var numbered = regexp.MustCompile(`-\d{6}$`)

// settle waits until no campaign of a route calls, whose calls would count as those of the next request.
func (h *House) settle(in *intent) {
	h.t.Helper()
	if in.must != "Originate" {
		return
	}
	wait.Until(h.t, func() bool {
		list, err := h.Control.Campaigns(control.Administrator("test"))
		if err != nil {
			h.t.Fatal(err)
		}
		return !slices.ContainsFunc(list, func(c control.CampaignView) bool { return c.State == desk.CampaignRunning && c.ID != "c1" })
	}, "a campaign does not end")
}

// parameters are the names of a route's parameters: /name in the path, ?name in the query, and name in the body.
func (o *operation) parameters() (names []string) {
	for _, m := range part.FindAllStringSubmatch(o.route, -1) {
		names = append(names, "/"+m[1])
	}
	for _, name := range o.query {
		names = append(names, "?"+name)
	}
	return append(names, slices.Sorted(maps.Keys(o.fields))...)
}

// value returns the good value of a name, nil for one that is left out.
func (in *intent) value(name string) any {
	if own, has := in.with[name]; has {
		return own
	}
	return good[name]
}

// fill makes a request of good values, of which one is replaced.
func (in *intent) fill(o *operation, name, value string) (target, body string) {
	method, path, _ := strings.Cut(o.route, " ")
	target = part.ReplaceAllStringFunc(path, func(p string) string {
		p = strings.Trim(p, "{}")
		if "/"+p == name {
			return url.PathEscape(value)
		}
		return url.PathEscape(fmt.Sprint(in.value(p)))
	})
	if query, ok := strings.CutPrefix(name, "?"); ok {
		target += "?" + query + "=" + url.QueryEscape(value)
	}
	if !o.body {
		return target, ""
	}
	all := map[string]any{}
	for field, typ := range o.fields {
		switch {
		case field == name && (typ == "array" || typ == ""):
			all[field] = []string{value}
		case field == name:
			all[field] = value
		case in.value(field) == nil,
			field == "uniqueid" && name == "side", field == "digits" && !strings.HasSuffix(path, "/dtmf"),
			(field == "penalty" || field == "phone") && !strings.HasSuffix(path, "/login"), (field == "reason" || field == "until") && method == http.MethodDelete:
		default:
			all[field] = in.value(field)
		}
	}
	return target, encode(all)
}

// encode returns a value as JSON, with its characters as they are.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "{}"
	}
	return b.String()
}

// way is one in which parameters come.
type way struct {
	name, method, contentType string
}

var ways = []way{{"JSON", http.MethodPost, "application/json"}, {"form", http.MethodPost, "application/x-www-form-urlencoded"}, {"query", http.MethodGet, ""}}

// send sends parameters in one of the ways.
func (h *House) send(w way, target string, all values) (status int, text string) {
	h.t.Helper()
	body := ""
	if w.name == "JSON" {
		body = encode(all)
	} else {
		form := url.Values{}
		for name, value := range all {
			if text, ok := value.(string); ok {
				form.Set(name, text)
			} else {
				form.Set(name, strings.TrimSpace(encode(value)))
			}
		}
		body = form.Encode()
	}
	if w.name == "query" {
		target, body = target+"?"+body, ""
	}
	resp, text := h.Send("", w.method, target, w.contentType, body)
	return resp.StatusCode, text
}

// InjectYemot does what Inject does with every parameter of every command of the Yemot dialect, as JSON, as a form and in the
// URL. Prefix is the URL before the command.
func (h *House) InjectYemot(prefix, token string) {
	h.t.Helper()
	for _, command := range yemot.Commands() {
		if !slices.ContainsFunc(yemotIntents, func(in intent) bool { return in.route == command }) {
			h.t.Errorf("%s has no row in yemotIntents: say what it asks Asterisk for", command)
		}
	}
	for _, w := range ways {
		for _, in := range yemotIntents {
			h.injectInto(w, &in, prefix+in.route, values{"token": token}, `"responseStatus":"OK"`)
		}
	}
	h.judgeAll()
}

// injectInto puts every hostile value into every parameter of an intent. Always are parameters that stay as they are. The
// answer to the request with good values has want in it.
func (h *House) injectInto(w way, in *intent, target string, always values, want string) {
	h.t.Helper()
	for _, name := range append([]string{""}, slices.Sorted(maps.Keys(in.with))...) {
		for _, value := range hostile {
			all := maps.Clone(always)
			maps.Copy(all, in.with)
			if name != "" {
				all[name] = value
			}
			before := len(h.PBX.Requests(""))
			status, answer := h.send(w, target, all)
			h.settle(in)
			h.judge(in, before, name, value)
			switch {
			case status >= http.StatusInternalServerError:
				h.t.Errorf("%s by %s with %s = %.80q: %d %s", in.route, w.name, name, value, status, answer)
			case name == "" && !strings.Contains(answer, want):
				h.t.Errorf("%s by %s with good values: %d %s", in.route, w.name, status, answer)
			}
			if name == "" {
				break
			}
		}
	}
}

// Clicks returns a receiver of click-to-call for InjectClicks. It takes calls of the agent 7.
func (h *House) Clicks() *clickfrom.Service {
	s := clickfrom.New(h.Control, nil, slog.New(slog.DiscardHandler), h.Registry)
	var tables []clickfrom.Config
	for _, w := range ways {
		c := clickfrom.DefaultConfig()
		c.Name, c.Method, c.Secret, c.SecretAt, c.Agent, c.Number, c.Once, c.Params = strings.ToLower(w.name), w.method, clickSecret, "key", "agent", "number", "once", map[string]string{"crm_call": "call"}
		c.Rate, c.OnceFor = 100_000, time.Nanosecond
		tables = append(tables, c)
	}
	s.Exchange(tables, h.Agents)
	return s
}

// clickSecret is that of Clicks.
const clickSecret = "fedcba9876543210"

// InjectClicks does what Inject does with every parameter of a click-to-call of another product, as JSON, as a form and in the
// URL. Base is the URL of the port without a path.
func (h *House) InjectClicks(base string) {
	h.t.Helper()
	in := intent{route: "click", with: values{"agent": "101", "number": "+4930123456", "once": "r1", "call": "c1"}, must: "Originate"}
	for _, w := range ways {
		h.injectInto(w, &in, base+clickfrom.Prefix+strings.ToLower(w.name), values{"key": clickSecret}, `"status":"called"`)
	}
	h.judgeAll()
}
