package asterisk

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"ringhook/fastagi"
)

func TestSplitCommand(t *testing.T) {
	for command, want := range map[string][]string{
		`SET VARIABLE X "1"`:             {"SET", "VARIABLE", "X", "1"},
		`  a   b `:                       {"a", "b"},
		`a "" b`:                         {"a", "", "b"},
		`a "b c"d`:                       {"a", "b cd"},
		`a b\ c`:                         {"a", "b c"},
		`a "b\"c\\d"`:                    {"a", `b"c\d`},
		`a "\u200e"`:                     {"a", "u200e"},
		"a\tb":                           {"a", "b"},
		`a "b` + "\t" + `c`:              {"a", "b\tc"},
		``:                               nil,
		`a\`:                             {"a"},
		`SET VARIABLE call_info "a b" c`: {"SET", "VARIABLE", "call_info", "a b", "c"},
	} {
		if got := SplitCommand(command); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}

// A command that is too long goes on as the next one, as it does in Asterisk.
func TestNextCommandCutsLongOnes(t *testing.T) {
	sent := "SET VARIABLE A \"" + strings.Repeat("x", 2047-16) + "SET VARIABLE X \"1\"\nNOOP"
	for buffer, want := range map[int]int{2048: 3, 8192: 2} {
		in := bufio.NewReader(strings.NewReader(sent))
		var got []string
		for {
			command, err := ReadCommand(in, buffer)
			if err != nil {
				break
			}
			got = append(got, command)
		}
		if len(got) != want || want == 3 && got[1] != `SET VARIABLE X "1"` {
			t.Errorf("buffer of %d: %d commands, second %.40q", buffer, len(got), got[1])
		}
	}
}

func TestExecute(t *testing.T) {
	ch := NewChannel(&CallRequest{
		Env:       fastagi.Env{UniqueID: "1.2", Extension: "500", CallerNum: "55"},
		Variables: map[string]string{"A": "a", "NAME": "A", "CDR(billsec)": "7"},
	})
	for _, c := range []struct{ command, want string }{
		{`GET VARIABLE A`, "200 result=1 (a)\n"},
		{`get variable NONE`, "200 result=0\n"},
		{`GET FULL VARIABLE "${A}|${${NAME}}|${NONE}|${CDR(billsec)}|${EXTEN}|${CHANNEL(linkedid)}|${CALLERID(num)}"`, "200 result=1 (a|a||7|500|1.2|55)\n"},
		{`GET FULL VARIABLE "${A"`, "200 result=1 (a)\n"},
		{`SET VARIABLE __B "b c"`, "200 result=1\n"},
		{`GET FULL VARIABLE "$${B}"`, "200 result=1 ($b c)\n"},
		{`NOOP`, "200 result=0\n"},
		{`VERBOSE "x" 1`, "200 result=1\n"},
		{`EXEC System id`, "510 Invalid or unknown command\n"},
		{``, "510 Invalid or unknown command\n"},
		{`SET VARIABLE B`, "520-Invalid command syntax.  Proper usage follows:\nUsage: see the command's documentation\n520 End of proper usage.\n"},
	} {
		if got := ch.Execute(c.command); got != c.want {
			t.Errorf("%s: got %q, want %q", c.command, got, c.want)
		}
	}
	if want := []fastagi.Variable{{Name: "__B", Value: "b c"}}; !slices.Equal(ch.Set, want) {
		t.Errorf("set %q, want %q", ch.Set, want)
	}
}
