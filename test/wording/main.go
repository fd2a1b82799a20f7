// Command wording reports phrases that readers have to decode, in the comments and the
// sentences (errors, log messages, help) of Go files and in the prose of Markdown files,
// each with the plain words to use instead. Code, quoted values and text in backticks
// are not checked. `make lint` runs it.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// phrase is a pattern, and the words to use instead.
type phrase struct {
	pattern *regexp.Regexp
	instead string
}

// allowed are phrases that a pattern matches by accident.
var allowed = map[string]bool{"gives up": true}

var phrases = []phrase{
	{word(`tells`), "reports whether, returns, logs"},
	{word(`told|untold|unheard`), "emitted, not emitted, idle, reported"},
	{word(`gives(?: up)?`), "returns, provides"},
	{word(`nobody|somebody|whoever`), "no customer, the caller, the agent, the administrator, callers that"},
	{word(`behind (?:the call|what)`), "after, in the background"},
	{word(`where (?:there is|it has) none`), "if there is none"},
	{word(`(?:is|are|was) how (?:many|long|often|fast)`), "the number of, the duration, the rate of"},
	{word(`mend|mends|mended|mending`), "fix, repair"},
	{word(`anew`), "again, recreate"},
	{word(`(?:is|are) no more`), "no longer exists"},
	{word(`left alone`), "paused, the circuit breaker is open"},
	{word(`shut gate|the gate|gate is (?:shut|open)`), "circuit breaker, list of allowed names"},
	{word(`leap of the clock|clock leaps?`), "clock step"},
	{word(`what may be lost`), "disposable, can be rebuilt"},
	{word(`slips? of the pen`), "typo"},
	{word(`vouch|vouches`), "trusted CA certificates"},
	{word(`who asks for the token`), "OAuth 2 client ID"},
	{word(`point lost`), "reading channel variables failed"},
	{word(`for ever at once`), "back off"},
}

// word matches a pattern between the boundaries of words, in upper and lower case, also
// across the end of a line.
func word(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(pattern, " ", `\s+`) + `)\b`)
}

func main() {
	n, err := check(os.Stdout, ".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "wording:", err)
		os.Exit(1)
	}
	if n > 0 {
		fmt.Fprintf(os.Stderr, "wording: %d phrases to replace\n", n)
		os.Exit(1)
	}
}

// check reports the phrases in all files below a folder, and returns their number.
func check(out io.Writer, root string) (int, error) {
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if ignored(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := prose(path)
		if err != nil {
			return err
		}
		for _, p := range phrases {
			for _, at := range p.pattern.FindAllStringIndex(text, -1) {
				match := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
				if !allowed[strings.ToLower(match)] {
					found++
					fmt.Fprintf(out, "%s:%d: %q: write %s\n", name, strings.Count(text[:at[0]], "\n")+1, match, p.instead)
				}
			}
		}
		return nil
	})
	return found, err
}

// ignored reports whether a folder holds nothing to check: tools, products, samples of input, the phrases themselves.
func ignored(folder string) bool {
	if folder == "." {
		return false
	}
	switch name := filepath.Base(folder); {
	case strings.HasPrefix(name, "."), name == "testdata", folder == filepath.Join("test", "wording"):
		return true
	case folder == "bin", folder == "build", folder == "dist":
		return true
	}
	return false
}

// prose returns the text of a file that is checked, on the lines on which it is in the file.
func prose(path string) (string, error) {
	switch filepath.Ext(path) {
	case ".go":
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		return comments(path, text)
	case ".md":
		text, err := os.ReadFile(path)
		return markdown(string(text)), err
	}
	return "", nil
}

var (
	// code is text in backticks. It ends with its paragraph.
	code = regexp.MustCompile("`(?:[^`\n]|\n[^`\n])*`")
	// quoted is a value in a comment.
	quoted = regexp.MustCompile(`"[^"\n]*"`)
	// identifier is a word that may be an exported name.
	identifier = regexp.MustCompile(`\b[A-Z]\w*\b`)
	// target is the address of a link.
	target = regexp.MustCompile(`\]\([^)\n]*\)`)
)

// blank removes what a pattern matches, but for newlines.
func blank(text string, pattern *regexp.Regexp) string {
	return pattern.ReplaceAllStringFunc(text, func(match string) string { return strings.Repeat("\n", strings.Count(match, "\n")) })
}

// markdown removes code and addresses.
func markdown(text string) string {
	lines := strings.Split(text, "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced || strings.HasPrefix(line, "    ") {
			lines[i] = ""
		}
		if fence {
			fenced = !fenced
		}
	}
	return blank(blank(strings.Join(lines, "\n"), code), target)
}

// comments returns the comments of a Go file without directives, indented samples, code,
// quoted values and the exported names of the file.
func comments(path string, text []byte) (string, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	names := make(map[string]bool)
	lines := make([]string, strings.Count(string(text), "\n")+1)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if n.IsExported() {
				names[n.Name] = true
			}
		case *ast.BasicLit:
			lines[files.Position(n.Pos()).Line-1] += sentence(n)
		}
		return true
	})
	for _, group := range f.Comments {
		for _, c := range group.List {
			first := files.Position(c.Pos()).Line - 1
			for i, line := range commentLines(c) {
				lines[first+i] += line
			}
		}
	}
	prose := blank(blank(strings.Join(lines, "\n"), code), quoted)
	return identifier.ReplaceAllStringFunc(prose, func(word string) string {
		if names[word] {
			return ""
		}
		return word
	}), nil
}

func commentLines(c *ast.Comment) []string {
	if strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "//nolint") {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(c.Text, "//"), "/*"), "*/"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ") {
			lines[i] = ""
		}
	}
	return lines
}

// sentence returns the text of a string that is one for people: it has words, and is no address and no code of several
// lines.
func sentence(lit *ast.BasicLit) string {
	text, err := strconv.Unquote(lit.Value)
	if lit.Kind != token.STRING || err != nil || !strings.Contains(text, " ") || strings.Contains(text, "\n") {
		return ""
	}
	if strings.Contains(text, `help:"`) {
		text = strings.ReplaceAll(text, `"`, "'") // a tag, of which the help is quoted
	}
	return " " + text + " "
}
