package dialplan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// TestAllowlist checks which variables of an answer reach the channel (T-CRM-01, T-CRM-02).
func TestAllowlist(t *testing.T) {
	s := newSettings(Settings{Dialplan: Config{Variables: map[string]any{
		"customer_id":    "int",
		"tier":           map[string]any{"one_of": []any{"gold", "silver"}},
		"note":           map[string]any{"type": "text", "max": int64(5)},
		"callback":       "e164",
		"CDR(userfield)": "word",
	}}})
	for _, c := range []struct {
		name, value string
		want        string // as set on the channel, empty if refused
	}{
		{"CALLERID(name)", "Zoë Müller", "CALLERID(name)=Zoë Müller"},
		{"CALLERID(name)", "", ""},
		{"CALLERID(name)", "a\r\nSET VARIABLE X 1\x00\x1b[2J", "CALLERID(name)=aSET VARIABLE X 1[2J"},
		{"CALLERID(name)", "a\u202eb\u2066c\u200bd\ufeffe", "CALLERID(name)=abcde"},
		{"CALLERID(name)", "שלום\u200e", "CALLERID(name)=שלום\u200e"},
		{"CALLERID(name)", "${EXTEN} \"q\" \\ , \u00a0 😀", "CALLERID(name)=${EXTEN} \"q\" \\ , \u00a0 😀"},
		{"CALLERID(name)", "a\xffb", "CALLERID(name)=a\uFFFDb"},
		{"QUEUE_PRIO", "10", "QUEUE_PRIO=10"},
		{"QUEUE_PRIO", "010", "QUEUE_PRIO=10"},
		{"QUEUE_PRIO", "10.0", "QUEUE_PRIO=10"},
		{"QUEUE_PRIO", "10.00", "QUEUE_PRIO=10"},
		{"QUEUE_PRIO", "10.5", ""},
		{"QUEUE_PRIO", "10.", ""},
		{"QUEUE_PRIO", ".0", ""},
		{"QUEUE_PRIO", "10.0.0", ""},
		{"QUEUE_PRIO", "ten", ""},
		{"QUEUE_PRIO", "-1", ""},
		{"QUEUE_PRIO", "1000000", ""},
		{"QUEUE_PRIO", "10)", ""},
		{"call_info", "gold", "__call_info=gold"},
		{"agent_info", "x", "__agent_info=x"},
		{"customer_id", "4711", "customer_id=4711"},
		{"customer_id", "-4711", "customer_id=-4711"},
		{"customer_id", "4711a", ""},
		{"tier", "gold", "tier=gold"},
		{"tier", "lead", ""},
		{"note", "abcdefg", "note=abcde"},
		{"note", "אבגדהו", "note=אבגדה"},
		{"callback", "+442079460142", "callback=+442079460142"},
		{"callback", "44+2079460142", ""},
		{"CDR(userfield)", "a_b", "CDR(userfield)=a_b"},
		{"CDR(userfield)", "a b", ""},
		{"callerid(name)", "x", ""},
		{"CALLERID(name) ", "x", ""},
		{"CALLERID(NAME)", "x", ""},
		{"CALLERID(all)", "x", ""},
		{"CALLERID（name）", "x", ""},
		{"__call_info", "x", ""},
		{"SHELL(id)", "x", ""},
		{"GLOBAL(x)", "x", ""},
		{"CHANNEL(hangup_handler_push)", "x", ""},
		{"RINGHOOK_STATUS", "OK", ""},
		{"QUEUESTATUS", "FULL", ""},
		{"unlisted", "x", ""},
	} {
		set, _ := s.filterAnswer(newCall(Identity{LinkedID: "c"}, time.Now()), []lookup.Var{{Name: c.name, Value: c.value}})
		var got string
		if len(set) > 0 {
			got = set[0].Name + "=" + set[0].Value
		}
		if got != c.want {
			t.Errorf("%s=%q sets %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

// TestRefusedLabel checks that no answer creates a metric label (T-MET-01).
func TestRefusedLabel(t *testing.T) {
	s := newSettings(Settings{Dialplan: Config{Variables: map[string]any{"customer_id": "int"}}})
	for name, want := range map[string]string{
		"QUEUE_PRIO": "QUEUE_PRIO", "__call_info": "call_info", "customer_id": "customer_id", "SHELL(id)": otherVariable, "": otherVariable,
	} {
		if got := s.label(name); got != want {
			t.Errorf("the label of %q is %q, want %q", name, got, want)
		}
	}
}

// TestAllowlistParameters checks which names of an answer become parameters: not those of the call.
func TestAllowlistParameters(t *testing.T) {
	s := newSettings(Settings{})
	c := newCall(Identity{LinkedID: "c"}, time.Now())
	_, refused := s.filterAnswer(c, []lookup.Var{
		{Name: "customer_id", Value: "4711"}, {Name: "linkedid", Value: "other"}, {Name: "final", Value: "true"}, {Name: "callerid", Value: "+1"},
		{Name: "CALLERID(name)", Value: "Zoë"}, {Name: "call_info", Value: "gold"}, {Name: "call_info", Value: "silver"}, {Name: "agent_name", Value: "Anna"},
	})
	want := map[string]any{"customer_id": "4711", "callerid_name": "Zoë", "call_info": "gold", "agent_name": "Anna"}
	if len(c.Known) != len(want) {
		t.Errorf("known %v, want %v", c.Known, want)
	}
	for name, v := range want {
		if c.Known[name] != v {
			t.Errorf("%s is %v, want %v", name, c.Known[name], v)
		}
	}
	wantRefused := []refusal{{"linkedid", "name"}, {"final", "name"}, {"callerid", "name"}, {"call_info", "repeated"}}
	if !slices.Equal(refused, wantRefused) {
		t.Errorf("refused %v, want %v", refused, wantRefused)
	}
}

// TestAllowlistOfParameters checks that a variable with the name of a parameter that only ringhook sets reaches the channel
// alone: else a source could make the caller another one, or end the privacy of one who withholds the number.
func TestAllowlistOfParameters(t *testing.T) {
	names := map[string]any{"CALLERID(num)": "text", "customer_id": "text", "agent_name": "text"}
	for name := range parameters {
		if _, always := contract[name]; !always && !slices.Contains(reservedNames, name) {
			names[name] = "text"
		}
	}
	(&Config{Variables: names, MaxCall: time.Hour}).Check(func(key, problem string) { t.Errorf("%s %s", key, problem) })
	s := newSettings(Settings{Dialplan: Config{Variables: names}})
	c := newCall(Identity{LinkedID: "c"}, time.Now())
	for name := range names {
		if set, refused := s.filterAnswer(c, []lookup.Var{{Name: name, Value: "1"}}); len(set) != 1 || len(refused) > 0 {
			t.Errorf("%s sets %v, refused %v", name, set, refused)
		}
	}
	want := append([]string{"CALLERID_num", "customer_id"}, settableParameters...)
	slices.Sort(want)
	if got := sortedKeys(c.Known); !slices.Equal(got, want) {
		t.Errorf("an answer sets the parameters %q, want %q", got, want)
	}
}

// TestAllowlistBounds checks that no answer makes a call grow without bound.
func TestAllowlistBounds(t *testing.T) {
	s := newSettings(Settings{})
	c := newCall(Identity{LinkedID: "c"}, time.Now())
	for i := range 1000 {
		s.filterAnswer(c, []lookup.Var{{Name: "a" + strings.Repeat("b", i%60) + string(rune('a'+i%26)), Value: strings.Repeat("x", 5000)}})
	}
	if len(c.Known) > maxKnown {
		t.Errorf("%d parameters are known, want at most %d", len(c.Known), maxKnown)
	}
	for name, v := range c.Known {
		if len(v.(string)) > maxValue {
			t.Errorf("%s has %d bytes, want at most %d", name, len(v.(string)), maxValue)
		}
	}
}

// TestVariablesCheck checks the rules of [dialplan] variables.
func TestVariablesCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		rule any
		want string // part of the problem, empty if there is none
	}{
		{"customer_id", "int", ""},
		{"CONNECTEDLINE(name)", "text", ""},
		{"CHANNEL(language)", "word", ""},
		{"call_info", "text", "always allowed"},
		{"customer_id", "number", "unknown type"},
		{"customer_id", int64(5), "not understood"},
		{"customer_id", map[string]any{"maximum": int64(5)}, "not understood"},
		{"customer_id", map[string]any{"one_of": []any{"a", int64(1)}}, "list of strings"},
		{"__customer_id", "int", "no variable's name"},
		{"customer-id", "int", "no variable's name"},
		{"RINGHOOK_STATUS", "text", "ringhook's own"},
		{"CALLERID(name", "text", "no function"},
		{"FOO(${X})", "text", "no function"},
		{"SHELL(id)", "text", "no dialplan function that ringhook sets"},
		{"shell(id)", "text", "no dialplan function that ringhook sets"},
		{"FILE(/etc/passwd)", "text", "no dialplan function that ringhook sets"},
		{"CURL(x)", "text", "no dialplan function that ringhook sets"},
		{"CURLOPT(x)", "text", "no dialplan function that ringhook sets"},
		{"ODBC_X(1)", "text", "no dialplan function that ringhook sets"},
		{"DB(a/b)", "text", "no dialplan function that ringhook sets"},
		{"DB_DELETE(a/b)", "text", "no dialplan function that ringhook sets"},
		{"AST_CONFIG(a)", "text", "no dialplan function that ringhook sets"},
		{"EVAL(x)", "text", "no dialplan function that ringhook sets"},
		{"GLOBAL(x)", "text", "no dialplan function that ringhook sets"},
		{"PRESENCE_STATE(x)", "text", "no dialplan function that ringhook sets"},
		{"DIALGROUP(x)", "text", "no dialplan function that ringhook sets"},
		{"CALLCOMPLETION(cc_agent_policy)", "text", "no dialplan function that ringhook sets"},
		{"MESSAGE(to)", "text", "no dialplan function that ringhook sets"},
		{"FUTURE_FUNCTION(x)", "text", "no dialplan function that ringhook sets"},
		{"CDR(billsec)", "text", "no dialplan function that ringhook sets"},
		{"CDR(userfield)", "text", ""},
		{"MONITOR_EXEC", "text", "Asterisk's own"},
		{"DYNAMIC_FEATURES", "text", "Asterisk's own"},
		{"EXTEN", "text", "Asterisk's own"},
		{"QUEUESTATUS", "text", "Asterisk's own"},
		{"QUEUE_MAX_PENALTY", "int", ""},
		{"CUSTOMER_ID", "int", ""},
		{"reason", "text", "only ringhook sets"},
		{"CHANNEL(hangup_handler_push)", "text", "no dialplan function that ringhook sets"},
	} {
		var got string
		parseVariables(map[string]any{c.name: c.rule}, func(_, problem string) { got = problem })
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s = %v: problem %q, want %q", c.name, c.rule, got, c.want)
		}
	}
}

// TestRequest checks how arguments are parsed, and which are refused.
func TestRequest(t *testing.T) {
	for _, c := range []struct {
		point, query string
		args         []string
		want         string // an argument as parsed, or part of the error
	}{
		{"queue-dial", "", []string{"queue_id=500", ""}, "queue_id=500"},
		{"queue-dial", "queue_id=50%30", nil, "queue_id=500"},
		{"queue-dial", "", []string{" queue_id=500"}, "queue_id=500"},
		{"queue-dial", "", []string{"queue_id=a=b"}, "queue_id=a=b"},
		{"queue-dial", "", []string{"queue_id=a\tb"}, "queue_id=a b"},
		{"queue-dial", "queue_id=1", []string{"queue_id=2"}, "given twice"},
		{"queue-dial", "queue_id=1&queue_id=2", nil, "given twice"},
		{"queue-dial", "queue_id=%zz", nil, "query string"},
		{"queue-dial", "", []string{"500"}, "not name=value"},
		{"queue-dial", "", []string{"queue=500"}, "unknown argument"},
		{"queue-dail", "", nil, "unknown point"},
		{"", "", nil, "unknown point"},
		{"agent-dial", "", nil, "needs the argument agent_phone"},
		{"event", "", nil, "needs the argument name"},
		{"event", "name=call-hangup", nil, "own events"},
		{"event", "name=survey&answered=yes", nil, `"answered" has the name of a parameter that only ringhook sets`},
		{"queue-dial", "", []string{"queue_id=500", "call_uuid=7"}, `"call_uuid" has the name of a parameter that only ringhook sets`},
		{"event", "name=a%20b", nil, "event name"},
		{"event", "name=mine&digit=3", nil, "digit=3"},
	} {
		r, err := parseRequest(&fastagi.Env{Point: c.point, Query: c.query, Args: c.args}, nil)
		var got string
		if err != nil {
			got = err.Error()
		} else if name, _, _ := strings.Cut(c.want, "="); name != "" {
			got = name + "=" + r.args[name]
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s?%s %q: got %q, want %q", c.point, c.query, c.args, got, c.want)
		}
	}
}

// FuzzMarker checks that no channel variable crashes a point, and that a marker survives being written
// and parsed.
func FuzzMarker(f *testing.F) {
	for _, seed := range []string{"", "/", "/end", "1.2/1/500", "pbx-1.2/3/>+44/end", "a/0/b", "a/-1/b", "//", "a/99999999999999999999/b", "1/1/end"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, ended, ok := parseMarker(value)
		if !ok {
			return
		}
		again, endedAgain, ok := parseMarker(m.String() + map[bool]string{true: markerEnd}[ended])
		if !ok || again != m || endedAgain != ended {
			t.Errorf("%q is read as %+v %v, and that as %+v %v %v", value, m, ended, again, endedAgain, ok)
		}
	})
}

// FuzzCall checks that a damaged state is an error or a call, never a panic.
func FuzzCall(f *testing.F) {
	f.Add([]byte(`{"linkedid":"1.1","began":"2026-03-02T09:00:00Z","seq":2,"known":{"queue_prio":10}}`))
	f.Add([]byte(`{"visits":[null],"rings":[null]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		c, err := decodeCall(state)
		if err != nil {
			return
		}
		if _, err := c.encode(); err != nil {
			t.Errorf("decoded but not encoded: %v", err)
		}
		r, err := parseRequest(&fastagi.Env{Point: "call-hangup", UniqueID: "1.1"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		callHangup(&transition{request: r, call: c, settings: newSettings(Settings{}), now: time.Now(), numbers: numbersOnce})
	})
}

// BenchmarkAllowlist measures the filtering of a CRM's answer.
func BenchmarkAllowlist(b *testing.B) {
	s := newSettings(Settings{Dialplan: Config{Variables: map[string]any{"customer_id": "int"}}})
	answer := []lookup.Var{
		{Name: "CALLERID(name)", Value: "Zoë Müller"}, {Name: "QUEUE_PRIO", Value: "10"}, {Name: "call_info", Value: "customer 4711, contract gold"},
		{Name: "customer_id", Value: "4711"}, {Name: "branch", Value: "north"},
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if set, refused := s.filterAnswer(newCall(Identity{LinkedID: "c"}, now), answer); len(set) != 4 || len(refused) > 0 {
			b.Fatal(set, refused)
		}
	}
}
