package freepbx

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	contrib "ringhook/contrib/freepbx"
)

// Level is how much ringhook does.
type Level int

// The levels.
const (
	Names   Level = 1 // names and priorities before queues and ring groups
	Events  Level = 2 // and the events of all calls, reported by the dialplan
	Manager Level = 3 // names and priorities, and the events from the manager interface
)

// The lines around what ringhook adds to a file. The first may end with one of the remarks, so that the file
// can be restored byte by byte.
const (
	beginMark   = "; >>> ringhook: written by `ringhook freepbx plan --write`, removed by --remove"
	endMark     = "; <<< ringhook"
	wasNew      = " (the file did not exist)"
	wasUnended  = " (the line before had no end)"
	tomlMark    = "# Written by `ringhook freepbx plan --write`, removed by --remove. Settings of your own\n# belong into another file of this folder.\n"
	copySuffix  = ".before-ringhook"
	maxFileSize = 4 << 20 // of a file that is changed
)

// The files that a plan may change. FreePBX and Issabel never write those of Asterisk's folder.
const (
	customFile   = "extensions_custom.conf"
	overrideFile = "extensions_override_freepbx.conf"
	globalsFile  = "globals_custom.conf"
	managerFile  = "manager_custom.conf"
	// TOMLFile is the file of the configuration folder conf.d.
	TOMLFile = "freepbx.toml"
)

// changeable are the files of the folder that --remove looks into.
var changeable = []string{customFile, overrideFile, issabelOverride, globalsFile, managerFile}

// File is one file before and after a change.
type File struct {
	Path     string
	Old, New []byte // nil if the file does not exist
}

// Known reports which queues and agents the rest of the configuration has: they are left out.
type Known struct {
	Queue, Phone func(id string) bool
}

// Plan returns the files that connect the site to ringhook at a level. toml is the path of the file with the
// settings.
func (s *Site) Plan(level Level, toml string, known Known) ([]File, error) {
	if s.NoCustom && s.Kind != Issabel {
		return nil, errors.New("the generated dialplan does not include custom contexts: switch off Advanced Settings, Disable -custom Context Includes")
	}
	folder := map[Level]string{Names: "level1", Events: "level2", Manager: "level3"}[level]
	texts, err := s.texts(level, folder)
	if err != nil {
		return nil, err
	}
	secret := ""
	if level == Manager {
		if secret, err = s.secret(); err != nil {
			return nil, err
		}
		texts[managerFile] = bytes.ReplaceAll(texts[managerFile], []byte(sampleSecret), []byte(secret))
	}
	var files []File
	for _, name := range changeable {
		f, err := s.change(name, texts[name])
		if err != nil {
			return nil, err
		}
		if f != nil {
			files = append(files, *f)
		}
	}
	settings, err := s.settings(folder, toml, secret, known)
	if err != nil {
		return nil, err
	}
	return append(files, *settings), nil
}

// texts returns what a level adds to each file.
func (s *Site) texts(level Level, folder string) (map[string][]byte, error) {
	from := map[string]string{customFile: path.Join(folder, customFile)}
	if level == Events {
		from[overrideFile] = path.Join(folder, map[Kind]string{FreePBX16: "15-16", FreePBX17: "17"}[s.Kind], overrideFile)
		from[globalsFile] = path.Join(folder, globalsFile)
	}
	if level == Manager {
		from[managerFile] = path.Join(folder, managerFile)
	}
	if s.Kind == Issabel {
		if level == Events {
			return nil, errors.New("an Issabel has no hooks before a phone rings: use --level 3, see docs/freepbx.md#issabel")
		}
		from[customFile] = path.Join("issabel", customFile)
	}
	texts := map[string][]byte{}
	for name, file := range from {
		text, err := contrib.Files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	if level == Events {
		texts[globalsFile] = append(texts[globalsFile], s.timeouts()...)
		texts[overrideFile] = s.lots(texts[overrideFile])
	}
	if s.Kind == Issabel {
		texts[issabelOverride] = s.asks(level)
	}
	return texts, nil
}

// change returns a file with a text of ringhook's in it, nil if there is nothing to change. Without a text an
// earlier one is taken out.
func (s *Site) change(name string, added []byte) (*File, error) {
	f := &File{Path: filepath.Join(s.Folder, name)}
	var err error
	if f.Old, err = readOwn(f.Path); err != nil {
		return nil, err
	}
	block, rest, err := cutBlock(f.Path, f.Old)
	if err != nil {
		return nil, err
	}
	if added == nil {
		if block == nil {
			return nil, nil
		}
		f.New = rest
		return f, nil
	}
	if err := collides(f.Path, rest, added); err != nil {
		return nil, err
	}
	f.New = addBlock(rest, added)
	return f, nil
}

// asks returns the lines that ask ringhook before each queue and ring group of an Issabel: its own lines, which
// they replace, follow.
func (s *Site) asks(level Level) []byte {
	var b bytes.Buffer
	b.WriteString("; Before every queue (q) and every ring group (rg); the lines after the first are Issabel's own, as of\n" +
		"; extensions_additional.conf. After an update of Issabel run `ringhook freepbx plan` again.\n[sub-record-check]\n")
	for _, e := range []struct {
		name  string
		point string
	}{{"q", map[Level]string{Names: "lookup", Manager: "queue-dial"}[level]}, {"rg", "lookup"}} {
		fmt.Fprintf(&b, "exten => %s,1,Gosub(ringhook,name,1(%s,queue_id=${ARG2},))\n", e.name, e.point)
		for _, step := range s.Recording[e.name] {
			fmt.Fprintf(&b, "exten => %s,n%s\n", e.name, step)
		}
	}
	return b.Bytes()
}

// lots returns contrib's override file with the site's parking lots instead of the usual one.
func (s *Site) lots(override []byte) []byte {
	before, step, _ := bytes.Cut(override, []byte("exten => 70,"))
	if len(s.Lots) == 0 {
		return before[:max(0, bytes.LastIndex(before, []byte("; A parked call")))]
	}
	b := bytes.NewBuffer(bytes.Clone(before))
	for _, lot := range s.Lots {
		fmt.Fprintf(b, "exten => %s,%s", lot, step)
	}
	return b.Bytes()
}

// sampleSecret stands for the secret in contrib's file.
const sampleSecret = "a-secret-of-your-own"

// secretLine matches the secret of an account of the manager interface.
var secretLine = regexp.MustCompile(`(?m)^secret = (\S+)$`)

// secret returns the secret of ringhook's account: that of an earlier plan, or a new one.
func (s *Site) secret() (string, error) {
	file := filepath.Join(s.Folder, managerFile)
	text, err := readOwn(file)
	if err != nil {
		return "", err
	}
	block, _, err := cutBlock(file, text)
	if err != nil {
		return "", err
	}
	if m := secretLine.FindSubmatch(block); m != nil {
		return string(m[1]), nil
	}
	return rand.Text(), nil
}

// timeouts returns the globals for queues whose phones do not ring as long as contrib's default.
func (s *Site) timeouts() string {
	const usual, unlimited = 15, 999999
	var b strings.Builder
	for _, q := range s.Queues {
		if q.Timeout == usual {
			continue
		}
		timeout := q.Timeout
		if timeout == 0 {
			timeout = unlimited
		}
		fmt.Fprintf(&b, "RINGHOOK_TIMEOUT_%s=%d\n", q.ID, timeout)
	}
	return b.String()
}

// settings returns the file of conf.d with the port, the queues, the agents, and the secret if there is one.
func (s *Site) settings(folder, toml, secret string, known Known) (*File, error) {
	f := &File{Path: toml}
	var err error
	if f.Old, err = readOwn(toml); err != nil {
		return nil, err
	}
	if f.Old != nil && !bytes.HasPrefix(f.Old, []byte(tomlMark)) {
		return nil, fmt.Errorf("%s exists and was not written by this command: move its settings to another file of the folder", toml)
	}
	sample, err := contrib.Files.ReadFile(path.Join(folder, "ringhook.toml"))
	if err != nil {
		return nil, err
	}
	_, body, _ := bytes.Cut(sample, []byte("[fastagi]"))
	body = regexp.MustCompile(`(?m)^secret = .*$`).ReplaceAllLiteral(body, []byte("secret = "+quoted(secret)))
	b := bytes.NewBufferString(tomlMark + "\n[fastagi]" + string(body))
	table := func(name, key, id, label string) {
		fmt.Fprintf(b, "\n[[%s]]\n%s = %q\n", name, key, id)
		if label != "" {
			fmt.Fprintf(b, "name = %s\n", quoted(label))
		}
	}
	queues := map[string]bool{}
	for _, q := range s.Queues {
		queues[q.ID] = true
		if !known.Queue(q.ID) {
			table("queue", "id", q.ID, "")
		}
	}
	for _, g := range s.Groups {
		if !known.Queue(g.ID) && !queues[g.ID] {
			table("queue", "id", g.ID, "Ring group "+g.ID)
		}
	}
	for _, p := range s.Phones {
		if !known.Phone(p.Number) {
			table("agent", "phone", p.Number, p.Name)
		}
	}
	f.New = b.Bytes()
	return f, nil
}

// quoted returns a name as a string of TOML, without the ${ that would begin a variable.
func quoted(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f || c == '\uFFFD' {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${").Replace(s) + `"`
}

// readOwn reads a file that is to be changed, nil if it does not exist. It must be a regular file: a link
// leads to a file that another program writes.
func readOwn(file string) ([]byte, error) {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFileSize:
		return nil, fmt.Errorf("%s is larger than %d MiB", file, maxFileSize>>20)
	case bytes.IndexByte(text, 0) >= 0:
		return nil, fmt.Errorf("%s is not a text file", file)
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// cutBlock splits a text into what ringhook added and the rest. The rest is nil if there was no file.
func cutBlock(file string, text []byte) (block, rest []byte, err error) {
	begin := lineWith(text, beginMark)
	if begin < 0 {
		return nil, text, nil
	}
	end := lineWith(text[begin:], endMark)
	if end < 0 {
		return nil, nil, fmt.Errorf("%s: the line %q is missing after %q: put it back, or remove the lines by hand", file, endMark, beginMark)
	}
	end += begin
	if next := bytes.IndexByte(text[end:], '\n'); next >= 0 {
		end += next + 1
	} else {
		end = len(text)
	}
	block = text[begin:end]
	if lineWith(text[end:], beginMark) >= 0 {
		return nil, nil, fmt.Errorf("%s has two parts by ringhook: remove one by hand", file)
	}
	first, _, _ := bytes.Cut(block, []byte("\n"))
	before := text[:begin]
	if bytes.HasSuffix(first, []byte(wasUnended)) && end == len(text) {
		before = bytes.TrimSuffix(before, []byte("\n"))
	}
	rest = append(append([]byte{}, before...), text[end:]...)
	if len(rest) == 0 && bytes.HasSuffix(first, []byte(wasNew)) {
		rest = nil
	}
	return block, rest, nil
}

// lineWith returns the index of the first line that begins with a mark, or -1.
func lineWith(text []byte, mark string) int {
	if bytes.HasPrefix(text, []byte(mark)) {
		return 0
	}
	i := bytes.Index(text, []byte("\n"+mark))
	if i < 0 {
		return -1
	}
	return i + 1
}

// addBlock returns a text with ringhook's part at its end.
func addBlock(rest, added []byte) []byte {
	var b bytes.Buffer
	b.Write(rest)
	remark := ""
	switch {
	case rest == nil:
		remark = wasNew
	case len(rest) > 0 && rest[len(rest)-1] != '\n':
		remark = wasUnended
		b.WriteByte('\n')
	}
	b.WriteString(beginMark + remark + "\n")
	b.Write(added)
	b.WriteString(endMark + "\n")
	return b.Bytes()
}

// collides returns an error if a file already defines what ringhook adds: of two definitions of a priority
// Asterisk takes the first.
func collides(file string, rest, added []byte) error {
	has := extensionsOf(rest)
	for at, line := range extensionsOf(added) {
		if there, ok := has[at]; ok {
			return fmt.Errorf("%s:%d already has %s, which ringhook has to define: join the two by hand, with the files of "+
				"/usr/share/doc/ringhook/examples/freepbx (line %d there)", file, there, at, line)
		}
	}
	return nil
}

// contextLine and extenLine match the lines that name an extension.
var (
	contextLine = regexp.MustCompile(`^\s*\[([^\]]+)\]`)
	extenLine   = regexp.MustCompile(`^\s*exten\s*=>?\s*([^,\s]+)\s*,`)
	ownLine     = regexp.MustCompile(`^\s*(RINGHOOK_\w+|secret)\s*=`)
)

// extensionsOf returns the extensions of a text as [context] extension, and the settings that ringhook adds, with
// the line of each.
func extensionsOf(text []byte) map[string]int {
	all := map[string]int{}
	context := ""
	for i, line := range bytes.Split(text, []byte("\n")) {
		name := ""
		if m := contextLine.FindSubmatch(line); m != nil {
			context = string(m[1])
		} else if m := extenLine.FindSubmatch(line); m != nil {
			name = fmt.Sprintf("[%s] %s", context, m[1])
		} else if m := ownLine.FindSubmatch(line); m != nil {
			name = strings.TrimPrefix(fmt.Sprintf("[%s] %s", context, m[1]), "[] ")
		}
		if _, twice := all[name]; name != "" && !twice {
			all[name] = i + 1
		}
	}
	return all
}
