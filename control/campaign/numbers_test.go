package campaign

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseNumbers(t *testing.T) {
	f := func(data string, want ...Entry) {
		t.Helper()
		got, err := ParseNumbers([]byte(data), 5)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", data, got, err, want)
		}
	}
	f(`"1"`, Entry{"1", ""})
	f(`"1:2: 3 :"`, Entry{"1", ""}, Entry{"2", ""}, Entry{"3", ""})
	f(`["1", "+2", 3]`, Entry{"1", ""}, Entry{"+2", ""}, Entry{"3", ""})
	f(`[{"number": "1", "caller_id": "9"}, {"phone": 2, "callerId": 8}, "3"]`, Entry{"1", "9"}, Entry{"2", "8"}, Entry{"3", ""})
	f(`[{"numbers": ["1", "2"], "caller_id": "9"}, {"phones": "3:4"}]`, Entry{"1", "9"}, Entry{"2", "9"}, Entry{"3", ""}, Entry{"4", ""})
	for _, bad := range []string{
		``, `null`, `{}`, `[]`, `""`, `":"`, `[{}]`, `[[1]]`, `[null]`, `[{"number": ""}]`, `[{"number": {}}]`, `[{"number": "1", "x": 1}]`,
		`[{"numbers": [{"numbers": ["1"]}]}]`, `"1:2:3:4:5:6"`, `[1.5]`, `[{"number": "1", "caller_id": []}]`, `true`, `[-1]`,
	} {
		if got, err := ParseNumbers([]byte(bad), 5); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}

func FuzzParseNumbers(f *testing.F) {
	f.Add([]byte(`"1:2"`))
	f.Add([]byte(`[{"numbers": ["1", {"number": 2}], "caller_id": "9"}, 3]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseNumbers(data, 20)
		if err == nil && (len(got) == 0 || len(got) > 20) {
			t.Errorf("%d entries", len(got))
		}
		for _, e := range got {
			if strings.TrimSpace(e.Number) != e.Number || e.Number == "" {
				t.Errorf("number %q", e.Number)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	wrong := func(change func(*Config)) string {
		c := DefaultConfig()
		change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		return strings.Join(keys, " ")
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		if got := wrong(change); got != want {
			t.Errorf("got problems of %q, want %q", got, want)
		}
	}
	f("", func(*Config) {})
	f("", func(c *Config) { c.Context, c.Hours = "from-campaign", "00:00-24:00" })
	f("context", func(c *Config) { c.Context = "a b" })
	f("most", func(c *Config) { c.Most = 0 })
	f("parallel", func(c *Config) { c.Parallel = 101 })
	f("timeout", func(c *Config) { c.Timeout = 36e9 })
	f("hours", func(c *Config) { c.Hours = "20:00-09:00" })
	f("hours", func(c *Config) { c.Hours = "9-20" })
	c := DefaultConfig()
	for clock, want := range map[string]bool{"08:59": false, "09:00": true, "19:59": true, "20:00": false, "": false} {
		if c.within(clock) != want {
			t.Errorf("%q", clock)
		}
	}
	c.Hours = ""
	if !c.within("") {
		t.Error("all day is not")
	}
}
