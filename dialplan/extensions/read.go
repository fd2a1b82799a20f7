package extensions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of what is read: many times what the largest PBX has.
const (
	maxBytes    = 32 << 20 // of all files together
	maxFiles    = 1000
	maxDepth    = 16      // of includes in includes
	maxSettings = 200_000 // with those that templates hand on
	maxLine     = 8191    // Asterisk's own: it takes the rest for another line
)

// place is where something stands.
type place struct {
	file string
	line int // counted from 1; 0 where it is about the whole file
}

// setting is one `key => value`.
type setting struct {
	at         place
	key, value string
}

// section is what stands below the headers of one name.
type section struct {
	name     string
	at       place
	template bool // [name](!): in force only where another section takes it over
	settings []setting
}

// reader reads a configuration file as Asterisk does, with what it includes.
type reader struct {
	folders  []string // where a relative name is looked for
	report   *report
	sections map[string]*section
	order    []*section
	current  *section
	bytes    int
	files    int
	settings int
	open     []string // the files that are being read, the innermost last
	whole    bool     // nothing that is included is missing
}

// aelOrLua are the beginnings of the dialplan's other two languages.
var aelOrLua = regexp.MustCompile(`(?m)^\s*(?:(?:abstract\s+)?(?:context|macro)\s+[\w-]+\s*(?:\([^)]*\)\s*)?\{|globals\s*\{|(?:local\s+)?extensions\s*=\s*\{)`)

// readFile reads one file. An error is one of the operating system.
func (r *reader) readFile(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", name)
	}
	if r.files++; r.files > maxFiles || info.Size() > int64(maxBytes-r.bytes) {
		return fmt.Errorf("%s: more than %d files or %d MiB are not read", name, maxFiles, maxBytes>>20)
	}
	text, err := readAll(name, int64(maxBytes-r.bytes))
	if err != nil {
		return err
	}
	r.open = append(r.open, name)
	r.text(name, text)
	r.open = r.open[:len(r.open)-1]
	return nil
}

// readAll reads a file up to a limit: its size may have been no more than a guess.
func readAll(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// text reads the text of one file, whose lines go on in the section that the
// including file was in.
func (r *reader) text(name string, text []byte) {
	r.bytes += len(text)
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if bytes.IndexByte(text, 0) >= 0 {
		r.report.add(place{name, 0}, Error, "not-text", "is not text, or is UTF-16: save it as UTF-8")
		r.whole = false
		return
	}
	if ext := filepath.Ext(name); ext == ".ael" || ext == ".lua" || aelOrLua.Match(text) {
		r.report.add(place{name, 0}, Error, "ael", "is AEL or Lua: only the language of extensions.conf (exten => ...) is checked")
		r.whole = false
		return
	}
	var comments commentStripper
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(comments.strip(line))
		at := place{name, i + 1}
		switch {
		case line == "":
		case len(line) > maxLine:
			r.report.add(at, Error, "line", "is longer than %d bytes, and Asterisk takes the rest for another line", maxLine)
		case line[0] == '#':
			r.directive(at, line)
		case line[0] == '[':
			r.header(at, line)
		default:
			r.setting(at, line)
		}
	}
	if comments.depth > 0 {
		r.report.add(comments.at(name), Warning, "comment", "the comment that begins here with ;-- is not closed by --; and takes the rest of the file")
	}
}

// commentStripper takes the comments out of a file's lines.
type commentStripper struct {
	depth int // of ;-- in ;--
	line  int
	begun int // the line of the outermost that is open
}

func (c *commentStripper) at(file string) place { return place{file, c.begun} }

func (c *commentStripper) strip(line string) string {
	c.line++
	if c.depth == 0 && !strings.Contains(line, ";") {
		return line
	}
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case c.depth > 0 && strings.HasPrefix(rest, "--;"):
			c.depth--
			i += 2
		case strings.HasPrefix(rest, ";--") && !strings.HasPrefix(rest, ";---"):
			if c.depth == 0 {
				c.begun = c.line
			}
			c.depth++
			i += 2
		case c.depth > 0:
		case strings.HasPrefix(rest, `\;`):
			b.WriteByte(';')
			i++
		case rest[0] == ';':
			return b.String()
		default:
			b.WriteByte(rest[0])
		}
	}
	return b.String()
}

// directive follows an #include.
func (r *reader) directive(at place, line string) {
	word, name, _ := strings.Cut(line, " ")
	if w, n, ok := strings.Cut(line, "\t"); ok && len(w) < len(word) {
		word, name = w, n
	}
	name = strings.Trim(strings.TrimSpace(name), `"<>`)
	switch strings.ToLower(word) {
	case "#include", "#tryinclude":
	case "#exec":
		r.whole = false
		r.report.add(at, Note, "exec", "#exec is not run: what it would print is not checked")
		return
	default:
		r.report.add(at, Warning, "directive", "%s is no directive of Asterisk's, which passes the line over: a comment begins with ;", shown(word))
		return
	}
	if len(r.open) > maxDepth {
		r.report.add(at, Error, "include", "more than %d files include each other: what lies deeper is not checked", maxDepth)
		r.whole = false
		return
	}
	files := r.find(name)
	if len(files) == 0 && strings.EqualFold(word, "#include") {
		r.whole = false
		r.missing(at, name)
	}
	for _, file := range files {
		if slices.Contains(r.open, file) {
			r.report.add(at, Error, "include", "%s includes itself", file)
			continue
		}
		err := r.readFile(file)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrNotExist):
			r.whole = false
			if strings.EqualFold(word, "#include") {
				r.missing(at, name)
			}
		default:
			r.whole = false
			r.report.add(at, Error, "include", "%v", err)
		}
	}
}

func (r *reader) missing(at place, name string) {
	r.report.add(at, Error, "include", "%s does not exist, and Asterisk refuses the whole dialplan: mend the name, which is relative to Asterisk's "+
		"configuration folder, or write #tryinclude", shown(name))
}

// find returns the files that a name stands for: the first folder that has it counts.
func (r *reader) find(name string) []string {
	if filepath.IsAbs(name) {
		return globbed(name)
	}
	for _, folder := range r.folders {
		if found := globbed(filepath.Join(folder, name)); len(found) > 0 {
			if _, err := os.Stat(found[0]); err == nil {
				return found
			}
		}
	}
	if strings.ContainsAny(name, "*?[") {
		return nil
	}
	return []string{filepath.Join(r.folders[0], name)}
}

func globbed(path string) []string {
	if !strings.ContainsAny(path, "*?[") {
		return []string{path}
	}
	found, err := filepath.Glob(path)
	if err != nil {
		return nil
	}
	return found
}

// header begins a section: [name], [name](!), [name](+), [name](template,...).
func (r *reader) header(at place, line string) {
	name, options, closed := strings.Cut(line[1:], "]")
	if !closed {
		r.report.add(at, Error, "header", "the ] of the context's name is missing, and Asterisk refuses the whole file")
	}
	s := r.sections[name]
	if s == nil {
		s = &section{name: name, at: at, template: strings.HasPrefix(strings.TrimSpace(options), "(!")}
		r.sections[name] = s
		r.order = append(r.order, s)
	}
	r.current = s
	options, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(options), "("), ")")
	for _, option := range strings.Split(options, ",") {
		option = strings.TrimSpace(option)
		if base := r.sections[option]; base != nil && base != s {
			for _, inherited := range base.settings {
				r.keep(inherited)
			}
		}
	}
}

func (r *reader) setting(at place, line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return // Asterisk says so itself, and goes on
	}
	if r.current == nil {
		r.report.add(at, Warning, "header", "this stands before the first [context], and Asterisk refuses the file, unless another includes it within one")
		r.current = &section{at: at}
		r.sections[""] = r.current
		r.order = append(r.order, r.current)
	}
	key = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(key, "+")))
	value = strings.TrimSpace(strings.TrimPrefix(value, ">"))
	r.keep(setting{at, key, value})
}

func (r *reader) keep(s setting) {
	if r.settings++; r.settings <= maxSettings {
		r.current.settings = append(r.current.settings, s)
		return
	}
	if r.settings == maxSettings+1 {
		r.report.add(s.at, Error, "include", "more than %d lines, with what templates hand on: the rest is not checked", maxSettings)
		r.whole = false
	}
}

// shown is a piece of the file as a message shows it.
func shown(s string) string {
	const most = 80
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	if strings.IndexFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f || c == utf8.RuneError }) >= 0 {
		return fmt.Sprintf("%q", s)
	}
	return s
}
