package command

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ringhook/app"
)

func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := Run(t.Context(), app.Build{}, args, &out, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Fatalf("ringhook %s ended with %d:\n%s", strings.Join(args, " "), code, &errOut)
	}
	return out.String()
}

// commands are what --help lists, and options what it lists of one.
func commands(t *testing.T) []string {
	t.Helper()
	_, list, _ := strings.Cut(printed(t, "--help"), "\nRun:\n")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)*)  `).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	if len(names) < 25 {
		t.Fatalf("--help lists %q", names)
	}
	return names
}

func options(t *testing.T, command string) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-[a-z], )?(--[a-z-]+)`).FindAllStringSubmatch(printed(t, append(strings.Fields(command), "--help")...), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestManual checks that the manual page has every command and every option, and that troff accepts it
// without a warning.
func TestManual(t *testing.T) {
	page := printed(t, "manual")
	plain := regexp.MustCompile(`\\f[BIR]`).ReplaceAllString(strings.ReplaceAll(page, `\-`, "-"), "")
	for _, command := range commands(t) {
		_, section, ok := strings.Cut(plain, "\n.SS "+command+"\n")
		if !ok {
			t.Errorf("%s is not in the manual page", command)
			continue
		}
		section, _, _ = strings.Cut(section, "\n.S")
		for _, option := range options(t, command) {
			if !regexp.MustCompile(`(?m)^(-[a-z], )?`+option+`( |$)`).MatchString(section) && !slices.Contains([]string{"--help", "--config", "--version"}, option) {
				t.Errorf("%s %s is not in the manual page", command, option)
			}
		}
	}
	if roff(`.a\b-c`) != `\&.a\eb\-c` {
		t.Errorf("troff is given %s", roff(`.a\b-c`))
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("the manual page is not tried: groff is not installed")
	}
	file := filepath.Join(t.TempDir(), "ringhook.1")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// TestCompletion checks the completion of command lines in bash.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	folder := t.TempDir()
	script := filepath.Join(folder, "completion")
	for name, text := range map[string]string{script: printed(t, "completion"), filepath.Join(folder, "site.toml"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	complete := func(line string) []string {
		t.Helper()
		c := exec.Command(bash, "--norc", "-c", `source "$1"; COMP_LINE=$2; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=("")
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ringhook; printf '%s\n' "${COMPREPLY[@]}"`, "bash", script, line)
		c.Dir = folder
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return strings.Fields(string(out))
	}
	for _, c := range []struct{ line, want, not string }{
		{"ringhook ", "serve", "list"},
		{"ringhook out", "outbox", "serve"},
		{"ringhook outbox ", "list retry", "serve --state"},
		{"ringhook outbox list --st", "--state", "--since"},
		{"ringhook outbox list --state ", "pending dead", "--since list"},
		{"ringhook -c site.toml outbox list --hook list --state d", "dead delivered dropped", "pending"},
		{"ringhook -c s", "site.toml", "serve"},
		{"ringhook serve --log-level ", "debug", "site.toml --config"},
		{"ringhook call queue-", "queue-dial queue-hangup", "call-dial"},
		{"ringhook phonebook import ", "site.toml --strict", "list"},
		{"ringhook backup s", "site.toml", "serve"},
	} {
		got := complete(c.line)
		for _, want := range strings.Fields(c.want) {
			if !slices.Contains(got, want) {
				t.Errorf("%q is completed to %q, want %s", c.line, got, want)
			}
		}
		for _, not := range strings.Fields(c.not) {
			if slices.Contains(got, not) {
				t.Errorf("%q is completed to %q, want it without %s", c.line, got, not)
			}
		}
	}
	text := printed(t, "completion")
	for _, command := range commands(t) {
		_, line, _ := strings.Cut(text, "\n\t\t\""+command+"\") echo ")
		line, _, _ = strings.Cut(line, "\n")
		for _, option := range options(t, command) {
			if !slices.Contains(strings.Fields(strings.Trim(strings.TrimSuffix(line, " ;;"), `"`)), option) {
				t.Errorf("%s %s is not completed", command, option)
			}
		}
	}
}
