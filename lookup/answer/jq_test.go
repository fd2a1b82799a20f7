package answer

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

// results runs an expression as a mapping does, without the conversion to text.
func results(t testing.TB, expression, body string) (string, error) {
	t.Helper()
	q, err := parseJQ(expression, jqVariables{})
	if err != nil {
		return "", err
	}
	v, err := decodeJSON(body)
	if err != nil {
		return "", err
	}
	r := newJQ(&mapping[*gojq.Query]{records: &q}, jqVariables{}).newRunner()
	ctx, cancel := context.WithTimeout(t.Context(), readTime)
	defer cancel()
	r.Context = ctx
	list, err := r.run(r.records, v, maxRecords)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, v := range list {
		text, err := gojq.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, ' '))
	}
	return strings.TrimSpace(b.String()), nil
}

// What expressions in use result in is what jq makes of them, bounds or not.
func TestExpressions(t *testing.T) {
	const body = `{"a":{"b":[1,2,{"c":"x"}]},"name":"Anna","last":"Berg","n":3,"s":"a-b-c","t":true,"list":[{"k":"x","v":1},{"k":"y","v":2}],"phones":["+49 30","+49 40"]}`
	for expression, want := range map[string]string{
		`.`:                                 "",
		`.a.b[2].c`:                         `"x"`,
		`.a["b"][0]`:                        `1`,
		`.a.b[-1:]`:                         `[{"c":"x"}]`,
		`.a.b[.n - 2]`:                      `2`,
		`.a.b | .[1:2][0]`:                  `2`,
		`.name + " " + .last`:               `"Anna Berg"`,
		`"\(.name) \(.last)!"`:              `"Anna Berg!"`,
		`[.name, .last] | join(" ")`:        `"Anna Berg"`,
		`[.name,.missing,.n] | join("-")`:   `"Anna--3"`,
		`.n * 2 - 1`:                        `5`,
		`-.n`:                               `-3`,
		`"ab" * 3`:                          `"ababab"`,
		`[1,2,3] - [2]`:                     `[1,3]`,
		`.s / "-"`:                          `["a","b","c"]`,
		`.s | split("-")[1]`:                `"b"`,
		`.s | gsub("-"; "")`:                `"abc"`,
		`.s | sub("(?<x>b)"; "<\(.x)>")`:    `"a-<b>-c"`,
		`.s | test("^a")`:                   `true`,
		`.s | [match("[a-z]"; "g").string]`: `["a","b","c"]`,
		`[.s | scan("[a-z]")] | length`:     `3`,
		`.list[] | select(.k == "y") | .v`:  `2`,
		`[.list[] | .v] | add`:              `3`,
		`.list | map(.v * 10)`:              `[10,20]`,
		`.list | map({(.k): .v}) | add`:     `{"x":1,"y":2}`,
		`.list | from_entries? // "none"`:   `"none"`,
		`.list | INDEX(.k)`:                 `{"x":{"k":"x","v":1},"y":{"k":"y","v":2}}`,
		`INDEX(.list[]; .v) | keys`:         `["1","2"]`,
		`[[1,2],[3]] | transpose`:           `[[1,3],[2,null]]`,
		`[] | transpose`:                    `[]`,
		`.list | JOIN({"x":7}; .k)`:         `[[{"k":"x","v":1},7],[{"k":"y","v":2},null]]`,
		`.name |= ascii_upcase | .name`:     `"ANNA"`,
		`.a.b[0] = 7 | .a.b[0]`:             `7`,
		`.a.b[-1] = 9 | .a.b`:               `[1,2,9]`,
		`.n -= 1 | .n *= 4 | .n /= 2 | .n %= 3 | .n += 40 | .n`:        `41`,
		`.missing //= "x" | .name //= "x" | [.missing, .name]`:         `["x","Anna"]`,
		`.new.deep[1].x = 1 | .new`:                                    `{"deep":[null,{"x":1}]}`,
		`(.list[] | select(.k == "y") | .v) += 40 | [.list[].v]`:       `[1,42]`,
		`(.phones[] | select(startswith("+49 3"))) |= empty | .phones`: `["+49 40"]`,
		`.phones[] |= ltrimstr("+") | .phones`:                         `["49 30","49 40"]`,
		`setpath(["a","b"]; 1) | .a`:                                   `{"b":1}`,
		`pick(.a.b[1])`:                                                `{"a":{"b":[null,2]}}`,
		`def INDEX(f): "mine"; .list | INDEX(.k)`:                      `"mine"`,
		`.a.b[1:] = 3`:                                       "error",
		`.name.x = 3`:                                        "error",
		`def _ringhook_guard: .; .n`:                         "error",
		`_ringhook_modify(.n; 1)`:                            "error",
		`first(.list[] | select(.v > 1)) | .k`:               `"y"`,
		`[limit(1; .list[])] | .[0].k`:                       `"x"`,
		`.list | sort_by(-.v) | .[0].k`:                      `"y"`,
		`.list | max_by(.v).k`:                               `"y"`,
		`if .t then "VIP" elif .n > 2 then 2 else 3 end`:     `"VIP"`,
		`.missing // .name`:                                  `"Anna"`,
		`.missing.deep[0].er`:                                `null`,
		`[.missing[]]`:                                       `[]`,
		`.name | ascii_upcase | .[0:2]`:                      `"AN"`,
		`.phones[0] | @uri`:                                  `"%2B49%2030"`,
		`@html "<\(.name)>"`:                                 `"<Anna>"`,
		`[.a.b[] | numbers] | length`:                        `2`,
		`reduce .list[] as $r (0; . + $r.v)`:                 `3`,
		`[foreach .list[] as {v: $v} (0; . + $v)]`:           `[1,3]`,
		`.list | to_entries | map(.key)`:                     `[0,1]`,
		`.a | with_entries(.value |= length)`:                `{"b":3}`,
		`.a | with_entries({key, value: (.value | length)})`: `{"b":3}`,
		`del(.list, .a, .phones, .name) | keys`:              `["last","n","s","t"]`,
		`[paths] | length`:                                   `21`,
		`def full($x): .name + $x; full("!")`:                `"Anna!"`,
		`def f(g): [g, g]; f(.n)`:                            `[3,3]`,
		`. as {name: $n, a: {b: [$one]}} | "\($n)\($one)"`:   `"Anna1"`,
		`try error("x") catch "caught"`:                      `"caught"`,
		`.name | contains("nn")`:                             `true`,
		`.phones | index("+49 40")`:                          `1`,
		`.phones | map(ltrimstr("+")) | join(",")`:           `"49 30,49 40"`,
		`[.. | strings] | length`:                            `8`,
		`label $out | .list[] | if .v == 2 then ., break $out else empty end | .k`: `"y"`,
		`.list | map_values(.v)`:                     `[1,2]`,
		`.n | tostring | tonumber`:                   `3`,
		`"2024-01-02T03:04:05Z" | fromdate | todate`: `"2024-01-02T03:04:05Z"`,
		`env.HOME`: "error", `$ENV.HOME`: "error", `input`: "error", `.a.b[500000000] = 1`: "error",
		`.a.b | setpath([500000000]; 1)`: "error", `import "x" as x; .`: "error", `_ringhook_guard`: "error", `$__prog_args`: "error",
	} {
		got, err := results(t, expression, body)
		switch {
		case want == "error":
			if err == nil {
				t.Errorf("%s results in %s, want an error", expression, got)
			}
		case err != nil:
			t.Errorf("%s: %v, want %s", expression, err, want)
		case want != "" && got != want:
			t.Errorf("%s results in %s, want %s", expression, got, want)
		}
	}
}

// What stands for nothing can be looked into: Odoo writes false, PHP writes [] or "".
func TestLookIntoNothing(t *testing.T) {
	for _, nothing := range []string{`false`, `[]`, `""`, `null`} {
		body := `{"parent_id":` + nothing + `}`
		for expression, want := range map[string]string{
			`.parent_id[1]`: `null`, `.parent_id.name`: `null`, `.parent_id.name.first`: `null`, `[.parent_id[]]`: `[]`, `[.parent_id[].name]`: `[]`, `.parent_id["a"]`: `null`,
			`[.parent_id[]?]`: `[]`, `.parent_id[1]?`: `null`,
		} {
			if got, err := results(t, expression, body); err != nil || got != want {
				t.Errorf("%s of %s results in %s, %v, want %s", expression, body, got, err, want)
			}
		}
	}
}

// T-CFG-03: whatever an expression does, it ends within its limits of time and
// memory.
func TestBounded(t *testing.T) {
	text := strings.Repeat("a-", 1<<19-100)
	for expression, body := range map[string]string{
		`.name | gsub("-";"")`:                  `{"name":"` + text + `"}`,
		`.name | [match("";"g")] | length`:      `{"name":"` + text + `"}`,
		`.name | gsub("";.)`:                    `{"name":"` + text + `"}`,
		`.name*100000000`:                       `{"name":"` + text + `"}`,
		`.name*.n`:                              `{"name":"x","n":1e300}`,
		`.n*.name`:                              `{"name":"x","n":100000000000000000000}`,
		`"x"*100000000`:                         `{}`,
		`[range(1e12)] | length`:                `{}`,
		`[limit(1e9; repeat(1))]`:               `{}`,
		`last(range(1e12))`:                     `{}`,
		`nth(1e9; repeat(1))`:                   `{}`,
		`def f: f; f`:                           `{}`,
		`def f: [f]; f`:                         `{}`,
		`def f: 1 + f; f`:                       `{}`,
		`def f: (., .) | f; f`:                  `{}`,
		`def f: . + . | f; f`:                   `"xx"`,
		`reduce range(100) as $i ("xx"; . + .)`: `{}`,
		`reduce range(100) as $i ([1]; . + .)`:  `{}`,
		`reduce range(100) as $i (1; [., .])`:   `{}`,
		`reduce range(100) as $i (1; {a: ., b: .}) | tojson`:          `{}`,
		`reduce range(100) as $i ("x\""; tojson)`:                     `{}`,
		`reduce range(100) as $i ("x"; @base64)`:                      `{}`,
		`reduce range(100) as $i ("x"; "\(.)\(.)")`:                   `{}`,
		`reduce range(100) as $i ("x"; try (. + .) catch "x")`:        `{}`,
		`reduce range(100) as $i (.n; . * .)`:                         `{"n":12345678901234567890}`,
		`reduce range(100) as $i (1; . as $x | [$x, $x])`:             `{}`,
		`[range(20000)] | join("` + strings.Repeat("x", 10000) + `")`: `{}`,
		`[range(20000)] - [range(20000; 40000)]`:                      `{}`,
		`[range(20000)] | contains([range(20000)])`:                   `{}`,
		`[range(20000)] | indices([range(10000)])`:                    `{}`,
		`[range(100000)] | map(tostring) | sort | unique | length`:    `{}`,
		`[recurse(if . < 1e9 then . + 1 else empty end)]`:             `0`,
		`until(false; . + 1)`:                                         `0`,
		`[paths] | length`:                                            "[" + strings.Repeat("[[1]],", 6000) + "1]",
		`[.. | tojson] | length`:                                      strings.Repeat("[", 30) + `"` + text + `"` + strings.Repeat("]", 30),
		`[.[] | tojson | fromjson | tojson] | length`:                 "[" + strings.Repeat(`"abc",`, 10000) + "1]",
		`.name | test("(a?){300}a{300}")`:                             `{"name":"` + text + `"}`,
		`.name | explode | implode | explode | length`:                `{"name":"` + text + `"}`,
		`[.name | splits("")] | length`:                               `{"name":"` + text + `"}`,
		`pow(10; 1e9) | tostring`:                                     `{}`,
		`[while(true; .)]`:                                            `{}`,
		`.[1e18]`:                                                     `[]`,
		`flatten(1e9)`:                                                `[[[[1]]]]`,
		`.[100000000] = 1`:                                            `[]`,
		`.a[19999].a[19999].a[19999].a[19999] = 1`:                    `{}`,
		`reduce range(20000) as $i ([]; .[$i] = $i)`:                  `{}`,
		`reduce range(20000) as $i ({}; .["\($i)"] = $i)`:             `{}`,
		`reduce range(100) as $i ({}; . as $x | .a = $x | .b = $x)`:   `{}`,
		`reduce range(100) as $i ({}; .a = . | .b |= (., .))`:         `{}`,
		`.[] |= ([range(10000)] | map(tostring))`:                     "[" + strings.Repeat("1,", 10000) + "1]",
		`.[] |= empty`:    "[" + strings.Repeat("1,", 19000) + "1]",
		`.x *= 100000000`: `{"x":"abc"}`,
		`reduce range(100) as $i ({x: [1]}; .x += .x)`:              `{}`,
		`[range(5000)] | INDEX(.) | tojson | length`:                `{}`,
		`[range(3000) | [range(3000)]] | transpose | length`:        `{}`,
		`pick(.[19999][19999])`:                                     `[]`,
		`[range(1000)] | JOIN([range(1000)]; range(1000)) | length`: `{}`,
		`strftime("` + strings.Repeat("%c", 5000) + `")`:            `1e300`,
		`. as $re | "x" | test($re)`:                                `"` + strings.Repeat(".{1000}", 1100) + `"`,
		`. as $re | "x" | [match([$re, "g"])]`:                      `"` + strings.Repeat(".{1000}", 1100) + `"`,
		`. as $re | "x" | split($re; "g")`:                          `"` + strings.Repeat(".{1000}", 1100) + `"`,
		`. as $re | "x" | gsub($re; "y")`:                           `"` + strings.Repeat(".{1000}", 1100) + `"`,
		`"x" | test("` + strings.Repeat(".{1000}", 1100) + `")`:     `{}`,
	} {
		name := expression[:min(len(expression), 60)]
		t.Run(name, func(t *testing.T) {
			made := allocated()
			started := time.Now()
			_, err := results(t, expression, body)
			took, grown := time.Since(started), allocated()-made
			var limit *Error
			if err != nil && !errors.As(err, &limit) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errStructure) {
				t.Errorf("ends with %v", err)
			}
			// Everything it allocates, most of which is garbage at once.
			if grown > 96<<20 && !race {
				t.Errorf("%d MiB allocated", grown>>20)
			}
			t.Logf("took %v, allocated %d KiB: %v", took.Round(time.Millisecond), grown>>10, err)
		})
	}
}

func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// Whatever an expression is, it is refused or bounded, and does not panic.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		`.a.b[1]?`, `[.[] | select(.x > 1)] | join(",")`, `"\(.a)-\(.b)"`, `reduce .[] as [$a,{b:$c}] (0; . + $a)`, `def f($x): $x * 2; f(.n)`,
		`.. | strings`, `label $x | break $x`, `try error catch .`, `{a, "b": 1, (.c): $__loc__, @base64 "d": 2}`, `.[1:][:-1]`, `?//`, `. as [$a] ?// $a | $a`, `@json "x\(1)"`, `-(1)`, `if . then 1 end`,
	} {
		f.Add(s, `{"a":[1,false,"x",{"b":null}],"n":1.5}`)
	}
	f.Fuzz(func(t *testing.T, expression, body string) {
		if len(expression) > 200 || !json.Valid([]byte(body)) {
			return
		}
		_, err := results(t, expression, body)
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
	})
}

func TestGuardedAreFunctions(t *testing.T) {
	for _, name := range slices.Concat(guardedFunctions, pairedFunctions, pathFunctions, regexFunctions) {
		if !slices.ContainsFunc(jqFunctions, func(f string) bool { return strings.HasPrefix(f, name+"/") }) {
			t.Errorf("%s is no function that may be called", name)
		}
	}
}

// TestRefusedFunctions checks that a refusal says why, and that the manual names every function of jq that is refused.
func TestRefusedFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		`env.HOME`:              "reads the environment",
		`$ENV.HOME`:             "reads the environment",
		`input`:                 "calls input with 0 arguments, which cannot be used here",
		`.[] | combinations`:    "calls combinations with 0 arguments, which cannot be used here",
		`jn(.n; .x)`:            "calls jn with 2 arguments, which cannot be used here", // it takes as many steps as its first argument says
		`yn(.n; .x)`:            "calls yn with 2 arguments, which cannot be used here",
		`limit(3)`:              "calls limit with 1 arguments, which is no function of jq",
		`.name | uppercase`:     "calls uppercase with 0 arguments, which is no function of jq",
		`import "x" as x; .`:    "must not import modules",
		`def _ringhook_x: .; .`: "must not define",
	} {
		if _, err := parseJQ(expression, jqVariables{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
	manual, err := os.ReadFile("../../CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(manual), "These functions of jq are refused")
	text, _, ended := strings.Cut(text, "\n\n")
	if !found || !ended {
		t.Fatal("the manual has no list of refused functions")
	}
	var listed []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			listed = append(listed, part)
		}
	}
	query, err := gojq.Parse("builtins")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := query.Run(nil).Next()
	var refused []string
	for _, f := range all.([]any) {
		if name, _, _ := strings.Cut(f.(string), "/"); !slices.Contains(jqFunctions, f.(string)) && !slices.Contains(refused, name) {
			refused = append(refused, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(refused)
	if !slices.Equal(listed, refused) {
		t.Errorf("the manual lists\n%q\nrefused are\n%q", listed, refused)
	}
}
