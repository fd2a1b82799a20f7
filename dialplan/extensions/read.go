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

// Limits of what is read, far above the size of the largest dialplans.
const (
	maxBytes    = 32 << 20 // total of all files
	maxFiles    = 1000
	maxDepth    = 16      // of nested includes
	maxSettings = 200_000 // including those inherited from templates
	maxLine     = 8191    // of Asterisk, which reads the rest as another line
)

// place is a line of a file.
type place struct {
	file string
	line int // from 1; 0 for the whole file
}

// setting is one `key => value`.
type setting struct {
	at         place
	key, value string
}

// section holds the settings below all headers of one name.
type section struct {
	name     string
	at       place
	template bool // [name](!): used only by sections that inherit from it
	settings []setting
}

// reader reads a configuration file and the files that it includes, by the rules of Asterisk.
type reader struct {
	folders  []string // searched for relative names, in this order
	report   *report
	sections map[string]*section
	order    []*section
	current  *section
	bytes    int
	files    int
	settings int
	open     []string // the files being read, the innermost last
	whole    bool     // everything that is included has been read
	// generated has the files that a program writes.
	generated map[string]bool
}

// newReader returns a reader for a file, which searches included files in the file's folder first.
func newReader(file string) *reader {
	return &reader{folders: []string{filepath.Dir(file), asteriskFolder}, report: &report{}, sections: map[string]*section{}, whole: true}
}

// aelOrLua matches a dialplan in AEL or Lua, the other two dialplan languages.
var aelOrLua = regexp.MustCompile(`(?m)^\s*(?:(?:abstract\s+)?(?:context|macro)\s+[\w-]+\s*(?:\([^)]*\)\s*)?\{|globals\s*\{|(?:local\s+)?extensions\s*=\s*\{)`)

// isAELOrLua reports whether a text is in one of these languages, outside comments.
func isAELOrLua(text []byte) bool {
	if !aelOrLua.Match(text) {
		return false
	}
	var comments commentStripper
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		b.WriteString(comments.strip(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return aelOrLua.MatchString(b.String())
}

// readFile reads one file and the files that it includes. It returns an error if the file cannot be
// read or exceeds the limits.
func (r *reader) readFile(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	if r.files++; r.files > maxFiles || info.Size() > int64(maxBytes-r.bytes) {
		return fmt.Errorf("%s exceeds the limit of %d files or %d MiB", name, maxFiles, maxBytes>>20)
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

// readAll reads at most a number of bytes of a file, which may have grown since its size was read.
func readAll(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// text reads the text of one file. Its first lines belong to the current section of the file that
// includes it.
func (r *reader) text(name string, text []byte) {
	r.bytes += len(text)
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if bytes.IndexByte(text, 0) >= 0 {
		r.report.add(place{name, 0}, Error, "not-text", "the file is not text, or is UTF-16: save it as UTF-8")
		r.whole = false
		return
	}
	if ext := filepath.Ext(name); ext == ".ael" || ext == ".lua" || isAELOrLua(text) {
		r.report.add(place{name, 0}, Error, "ael", "the file is AEL or Lua: only the syntax of extensions.conf (exten => ...) is checked")
		r.whole = false
		return
	}
	if isGenerated(text) {
		if r.generated == nil {
			r.generated = map[string]bool{}
		}
		r.generated[name] = true
	}
	var comments commentStripper
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(comments.strip(line))
		at := place{name, i + 1}
		switch {
		case line == "":
		case len(line) > maxLine:
			r.report.add(at, Error, "line", "the line is longer than %d bytes, and Asterisk reads the rest as another line", maxLine)
		case line[0] == '#':
			r.directive(at, line)
		case line[0] == '[':
			r.header(at, line)
		default:
			r.setting(at, line)
		}
	}
	if comments.depth > 0 {
		r.report.add(comments.at(name), Warning, "comment", "the comment that starts here with ;-- is not closed by --; and extends to the end of the file")
	}
}

// commentStripper removes the comments from the lines of a file.
type commentStripper struct {
	depth int // of nested ;-- comments
	line  int
	begun int // the line of the outermost open comment
}

// at returns the place at which the open comment starts.
func (c *commentStripper) at(file string) place { return place{file, c.begun} }

// strip returns the next line of the file without its comments.
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

// directive reads the files of an #include or #tryinclude, and reports other lines with a #.
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
		r.report.add(at, Note, "exec", "#exec is not run: its output is not checked")
		return
	default:
		r.report.add(at, Warning, "directive", "%s is not a directive, and Asterisk ignores the line: a comment starts with ;", shown(word))
		return
	}
	if len(r.open) > maxDepth {
		r.report.add(at, Error, "include", "includes are nested more than %d deep: deeper files are not checked", maxDepth)
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

// missing reports an included file that does not exist.
func (r *reader) missing(at place, name string) {
	r.report.add(at, Error, "include", "%s does not exist, and Asterisk rejects the whole dialplan: correct the name, which is relative to Asterisk's "+
		"configuration folder, or write #tryinclude", shown(name))
}

// find returns the files that a name or a pattern stands for, from the first folder that has one. A
// name that no folder has is returned in the first folder.
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

// globbed returns the files that match a path, or the path itself if it is not a pattern.
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
		r.report.add(at, Error, "header", "the ] after the context's name is missing, and Asterisk rejects the whole file")
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

// setting adds a line with a = to the current section.
func (r *reader) setting(at place, line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return // Asterisk logs the line itself and ignores it
	}
	if r.current == nil {
		r.report.add(at, Warning, "header", "this line is before the first [context], and Asterisk rejects the file unless another file includes it in a context")
		r.current = &section{at: at}
		r.sections[""] = r.current
		r.order = append(r.order, r.current)
	}
	key = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(key, "+")))
	value = strings.TrimSpace(strings.TrimPrefix(value, ">"))
	r.keep(setting{at, key, value})
}

// keep adds a setting to the current section, up to maxSettings in all.
func (r *reader) keep(s setting) {
	if r.settings++; r.settings <= maxSettings {
		r.current.settings = append(r.current.settings, s)
		return
	}
	if r.settings == maxSettings+1 {
		r.report.add(s.at, Error, "include", "more than %d lines, including those inherited from templates: the rest is not checked", maxSettings)
		r.whole = false
	}
}

// shown returns a piece of the file for a message: at most 80 bytes, quoted if it has control characters.
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
