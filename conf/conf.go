// Package conf reads ringhook.toml. It assembles the settings that each room owns,
// starts from their defaults, and reports all mistakes of a file at once, each with
// its line, its key and the right form. A Config that it returns without an error is
// complete and valid.
package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	crmaccount "ringhook/account"
	"ringhook/ami"
	"ringhook/api"
	"ringhook/api/yemot"
	"ringhook/clickfrom"
	"ringhook/conffile"
	"ringhook/control"
	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/control/switching"
	"ringhook/desk"
	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/recordings"
	"ringhook/store"
)

// maxSize is the maximum size of a configuration file, in bytes.
const maxSize = 1 << 20

// byteOrderMark may stand before the first line.
const byteOrderMark = "\xef\xbb\xbf"

// Config holds all settings of ringhook.toml.
type Config struct {
	FastAGI    fastagi.Config        `toml:"fastagi"`
	HTTP       api.Config            `toml:"http"`
	Log        LogConfig             `toml:"log"`
	Store      store.Config          `toml:"store"`
	Number     number.Config         `toml:"number"`
	Dialplan   dialplan.Config       `toml:"dialplan"`
	Queues     []dialplan.Queue      `toml:"queue"`
	Agents     []dialplan.Agent      `toml:"agent"`
	Lookups    []lookup.Config       `toml:"lookup"`
	Hooks      []hooks.Config        `toml:"hook"`
	AMI        []ami.Config          `toml:"ami"`
	Pauses     []control.PauseReason `toml:"pause"`
	Pops       []pops.Config         `toml:"pop"`
	Desk       desk.Config           `toml:"desk"`
	GetEvent   getevent.Config       `toml:"getevent"`
	Dials      []switching.Rule      `toml:"dial"`
	Click      control.ClickConfig   `toml:"click"`
	Campaign   campaign.Config       `toml:"campaign"`
	Accounts   account.Config        `toml:"accounts"`
	Yemot      yemot.Config          `toml:"yemot"`
	Shared     []crmaccount.Config   `toml:"account"`
	Lists      []directory.Config    `toml:"agents"`
	Clicks     []clickfrom.Config    `toml:"click_from"`
	Recordings recordings.Config     `toml:"recordings"`

	// File is the file that was loaded, as named; empty for the defaults. Files in
	// conf.d beside it are part of it.
	File string
	// Warnings are likely mistakes, which do not prevent a start.
	Warnings []Mistake
}

// Settings returns the settings of the dialplan.
func (c *Config) Settings() dialplan.Settings {
	return dialplan.Settings{Dialplan: c.Dialplan, Queues: c.Queues, Agents: c.Agents, Budget: c.FastAGI.Budget}
}

// People returns the agents as the directory of their ids in other products knows them.
func (c *Config) People() []directory.Person {
	people := make([]directory.Person, len(c.Agents))
	for i, a := range c.Agents {
		people[i] = directory.Person{ID: a.ID, Phone: a.Phone, Name: a.Name, Info: a.Info, IDs: a.IDs}
	}
	return people
}

// Control returns the settings of commands for the PBX. Numbers knows the regions of numbers.
func (c *Config) Control(numbers *number.Reader) control.Settings {
	return control.Settings{
		Agents: c.Agents, Queues: c.Queues, Pauses: c.Pauses, Dials: c.Dials, Click: c.Click, Campaign: c.Campaign, Reader: numbers, Accounts: c.Accounts,
		ShowWithheld: c.Dialplan.WithheldEvents,
	}
}

// Default returns the settings that apply without a file.
func Default() *Config {
	return &Config{
		FastAGI:  fastagi.DefaultConfig(),
		HTTP:     api.DefaultConfig(),
		Yemot:    yemot.DefaultConfig(),
		Log:      LogConfig{Level: "info"},
		Store:    store.DefaultConfig(),
		Number:   number.DefaultConfig(),
		Dialplan: dialplan.DefaultConfig(),
		Desk:     desk.DefaultConfig(),
		GetEvent: getevent.DefaultConfig(),
		Click:    control.DefaultClick(),
		Campaign: campaign.DefaultConfig(), Accounts: account.DefaultConfig(),
		Recordings: recordings.DefaultConfig(),
	}
}

// DefaultFile is the configuration file of an installed package.
const DefaultFile = "/etc/ringhook/ringhook.toml"

// FileVariable is the environment variable that names the configuration file.
const FileVariable = "RINGHOOK_CONFIG"

// Find returns the file to load: named if it is not empty, else that of
// RINGHOOK_CONFIG, else DefaultFile if it exists, else "" for the defaults.
func Find(named string) string {
	if named != "" {
		return named
	}
	if file := os.Getenv(FileVariable); file != "" {
		return file
	}
	if _, err := os.Stat(DefaultFile); !errors.Is(err, fs.ErrNotExist) {
		return DefaultFile // if it cannot be read, Load returns the reason
	}
	return ""
}

// Load reads a configuration file and then, in the order of their names, the files
// conf.d/*.toml beside it. A later file adds tables to lists, and replaces single
// values. ${NAME} stands for a variable of the process's environment, or of the file
// "environment" in the same folder. Relative paths in the files are relative to the
// folder of the first file, and absolute in the Config.
//
// Without a file ("") the defaults apply, and a relative path is relative to the
// working directory. The error is an *Error if the content of the files is wrong.
func Load(file string) (*Config, error) {
	texts, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, r, err := parse(texts, folder, environmentBeside(file))
	if err != nil {
		return nil, err
	}
	c.File = file
	c.Warnings = append(c.Warnings, r.readable(texts)...)
	slices.SortStableFunc(c.Warnings, r.order)
	return c, nil
}

// source is the content of one file.
type source struct {
	name string
	data []byte
	mode fs.FileMode
}

// read returns the content of a file and of the files in conf.d beside it. Of a file
// that is too large it returns one byte more than is allowed.
func read(file string) ([]source, error) {
	if file == "" {
		return nil, nil
	}
	// A pattern for Glob would need the folder's name escaped.
	more := filepath.Join(filepath.Dir(file), "conf.d")
	entries, err := os.ReadDir(more)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := []string{file}
	for _, e := range entries { // sorted by name
		if name := e.Name(); strings.HasSuffix(name, ".toml") && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(more, name))
		}
	}
	texts := make([]source, 0, len(files))
	left := int64(maxSize)
	for i, name := range files {
		open := conffile.Open
		if i == 0 {
			open = openMain
		}
		text, err := readSource(open, name, left+1)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
		left = max(0, left-int64(len(text.data)))
	}
	return texts, nil
}

// openMain opens the file that a person names: it may be a pipe such as /dev/stdin, for which they wait.
func openMain(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func readSource(open func(name string) (*os.File, fs.FileInfo, error), name string, most int64) (source, error) {
	f, info, err := open(name)
	if err != nil {
		return source{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most))
	return source{name, data, info.Mode()}, err
}

// Parse reads a configuration from the text of one file. Messages call the file name,
// and env returns the variables of the environment. Relative paths stay as they are. The
// error is an *Error.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c, _, err := parse([]source{{name: name, data: data}}, "", env)
	return c, err
}

// parse reads a configuration from the texts of its files. If folder is not empty,
// relative paths are relative to it.
func parse(texts []source, folder string, env func(string) (string, bool)) (*Config, *report, error) {
	r := &report{}
	root, tables := &position{line: 1}, make(map[string]any)
	size := 0
	for _, text := range texts {
		r.files = append(r.files, text.name)
		if size += len(text.data); size > maxSize {
			what := "the file is"
			if len(texts) > 1 {
				what = "the files of the configuration together are"
			}
			r.wrong(&position{file: text.name}, "", "%s larger than %d bytes: this is not a configuration", what, maxSize)
			break
		}
		at, values := r.decode(text.name, string(text.data))
		if at == nil {
			continue
		}
		if root.file == "" {
			root.file, root.line = at.file, at.line
		}
		merge(root, at, tables, values)
	}
	if err := r.done(); err != nil {
		return nil, nil, err
	}
	c := Default()
	d := &decoder{report: r, env: env, begin: map[reflect.Type]beginning{
		reflect.TypeFor[lookup.Config]():       r.lookup,
		reflect.TypeFor[crmaccount.Config]():   func(*position, any) any { return crmaccount.Config{} },
		reflect.TypeFor[directory.Config]():    func(*position, any) any { return directory.DefaultConfig() },
		reflect.TypeFor[dialplan.Agent]():      func(*position, any) any { return dialplan.DefaultAgent() },
		reflect.TypeFor[control.PauseReason](): func(*position, any) any { return control.DefaultPauseReason() },
		reflect.TypeFor[ami.Config]():          func(*position, any) any { return ami.DefaultConfig() },
		reflect.TypeFor[hooks.Config]():        r.hook,
		reflect.TypeFor[clickfrom.Config]():    r.clickFrom,
		reflect.TypeFor[pops.Config]():         r.pop,
	}}
	d.table(root, "", tables, reflect.ValueOf(c).Elem())
	for i := range c.Agents {
		c.Agents[i].Plain()
	}
	c.presetVariables()
	c.shareSecrets()
	if folder != "" {
		r.resolve(c, folder, root)
	}
	r.check(c, root)
	if err := r.done(); err != nil {
		return nil, nil, err
	}
	c.Warnings = r.warnings(c, root)
	return c, r, nil
}

// decode parses the text of one file. It returns nil if the text is wrong.
func (r *report) decode(name, text string) (*position, map[string]any) {
	root := r.locate(name, text)
	if root == nil {
		return nil, nil
	}
	var tables map[string]any
	if _, err := toml.Decode(text, &tables); err != nil {
		r.syntax(name, text, err)
		return nil, nil
	}
	return root, tables
}

// merge adds the tables of a later file. Lists of tables grow, tables are merged, and
// other values are replaced.
func merge(at, more *position, tables, later map[string]any) {
	for name, value := range later {
		before, has := tables[name]
		if !has {
			tables[name] = value
			at.set(name, more.keys[name])
			continue
		}
		first, isTable := before.(map[string]any)
		second, bothTables := value.(map[string]any)
		if isTable && bothTables {
			merge(at.keys[name], more.keys[name], first, second)
			continue
		}
		list, isList := listOfTables(before)
		added, bothLists := listOfTables(value)
		if isList && bothLists {
			tables[name] = slices.Concat(list, added)
			at.keys[name].items = append(at.keys[name].items, more.keys[name].items...)
			continue
		}
		tables[name] = value
		at.set(name, more.keys[name])
	}
}

// listOfTables returns a list of tables, written as [[name]] or in one line.
func listOfTables(value any) ([]any, bool) {
	switch value := value.(type) {
	case []map[string]any:
		list := make([]any, len(value))
		for i, table := range value {
			list[i] = table
		}
		return list, true
	case []any:
		for _, v := range value {
			if _, ok := v.(map[string]any); !ok {
				return nil, false
			}
		}
		return value, len(value) > 0
	}
	return nil, false
}

// syntax reports why a text is not TOML. It counts line and column itself: those of
// the parser are wrong for an error at the start or the end of a line.
func (r *report) syntax(file, text string, err error) {
	var wrong toml.ParseError
	if !errors.As(err, &wrong) {
		r.wrong(&position{file: file}, "", "%v", err)
		return
	}
	text = strings.TrimPrefix(text, byteOrderMark)
	before := text[:min(max(wrong.Position.Start, 0), len(text))]
	at := &position{file: file, line: strings.Count(before, "\n") + 1}
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	hint := ""
	if strings.HasPrefix(wrong.Message, "expected value") || strings.Contains(wrong.Message, "top-level item to end") {
		hint = "; put texts and durations in quotes"
	}
	r.wrong(at, wrong.LastKey, "column %d: %s%s", column, strings.TrimSuffix(wrong.Message, "."), hint)
}
