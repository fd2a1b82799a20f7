package board

import "testing"

// TestIndent checks that a body is shown as it is sent, but for the blanks between its values.
func TestIndent(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := indent(body); got != want {
			t.Errorf("%s: got %s", body, got)
		}
	}
	f(`{"b":9007199254740993,"a":1.50,"note":"<&>","a":2}`, "{\n  \"b\": 9007199254740993,\n  \"a\": 1.50,\n  \"note\": \"<&>\",\n  \"a\": 2\n}")
	f(`[]`, "[]")
	f(`a=1&b=2`, `a=1&b=2`)
	f(`{"a":1} x`, `{"a":1} x`)
	f("", "")
}
