// Package conf reads ringhook.toml. It assembles the settings that each room owns,
// starts from their defaults, and reports all mistakes of a file at once, each with
// its line, its key and the right form. A Config that it returns without an error is
// complete and valid.
package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"ringhook/ami"
	"ringhook/api"
	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
)

// maxSize is the maximum size of a configuration file, in bytes.
const maxSize = 1 << 20

// byteOrderMark may stand before the first line.
const byteOrderMark = "\xef\xbb\xbf"

// Config holds all settings of ringhook.toml.
type Config struct {
	FastAGI  fastagi.Config   `toml:"fastagi"`
	HTTP     api.Config       `toml:"http"`
	Store    store.Config     `toml:"store"`
	Number   number.Config    `toml:"number"`
	Dialplan dialplan.Config  `toml:"dialplan"`
	Queues   []dialplan.Queue `toml:"queue"`
	Agents   []dialplan.Agent `toml:"agent"`
	Lookups  []lookup.Config  `toml:"lookup"`
	Hooks    []hooks.Config   `toml:"hook"`
	AMI      []ami.Config     `toml:"ami"`

	// Warnings are likely mistakes, which do not prevent a start.
	Warnings []Mistake
}

// Settings returns the settings of the dialplan.
func (c *Config) Settings() dialplan.Settings {
	return dialplan.Settings{Dialplan: c.Dialplan, Queues: c.Queues, Agents: c.Agents, Budget: c.FastAGI.Budget}
}

// Default returns the settings that apply without a file.
func Default() *Config {
	return &Config{
		FastAGI:  fastagi.DefaultConfig(),
		HTTP:     api.DefaultConfig(),
		Store:    store.DefaultConfig(),
		Number:   number.DefaultConfig(),
		Dialplan: dialplan.DefaultConfig(),
	}
}

// Load reads a configuration file. ${NAME} stands for a variable of the process's
// environment, or of the file "environment" beside it. The error is an *Error if the file's content is wrong.
func Load(path string) (*Config, error) {
	data, mode, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, r, err := parse(path, data, environmentBeside(path))
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o004 != 0 {
		c.Warnings = append(c.Warnings, r.readable(mode.Perm())...)
		slices.SortStableFunc(c.Warnings, byLine)
	}
	return c, nil
}

// read returns a file's content, at most one byte more than is allowed, and its mode.
func read(path string) (data []byte, mode os.FileMode, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(io.LimitReader(f, maxSize+1))
	return data, info.Mode(), err
}

// Parse reads a configuration from its text. Messages call the file name, and env
// returns the variables of the environment. The error is an *Error.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c, _, err := parse(name, data, env)
	return c, err
}

func parse(name string, data []byte, env func(string) (string, bool)) (*Config, *report, error) {
	r := &report{file: name}
	file := &position{}
	if len(data) > maxSize {
		r.wrong(file, "", "the file is larger than %d bytes: this is not a configuration", maxSize)
		return nil, nil, r.done()
	}
	root := r.locate(string(data))
	if root == nil {
		return nil, nil, r.done()
	}
	var tables map[string]any
	if _, err := toml.Decode(string(data), &tables); err != nil {
		r.syntax(string(data), err)
		return nil, nil, r.done()
	}
	c := Default()
	d := &decoder{report: r, env: env, begin: map[reflect.Type]beginning{
		reflect.TypeFor[lookup.Config](): func(*position, any) any { return lookup.DefaultConfig() },
		reflect.TypeFor[ami.Config]():    func(*position, any) any { return ami.DefaultConfig() },
		reflect.TypeFor[hooks.Config]():  r.hook,
	}}
	d.table(root, "", tables, reflect.ValueOf(c).Elem())
	r.check(c, root)
	if err := r.done(); err != nil {
		return nil, nil, err
	}
	c.Warnings = r.warnings(c, root)
	return c, r, nil
}

// syntax reports why a text is not TOML. It counts line and column itself: those of
// the parser are wrong for an error at the start or the end of a line.
func (r *report) syntax(text string, err error) {
	var wrong toml.ParseError
	if !errors.As(err, &wrong) {
		r.wrong(&position{}, "", "%v", err)
		return
	}
	text = strings.TrimPrefix(text, byteOrderMark)
	before := text[:min(max(wrong.Position.Start, 0), len(text))]
	at := &position{line: strings.Count(before, "\n") + 1}
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	hint := ""
	if strings.HasPrefix(wrong.Message, "expected value") || strings.Contains(wrong.Message, "top-level item to end") {
		hint = "; put texts and durations in quotes"
	}
	r.wrong(at, wrong.LastKey, "column %d: %s%s", column, strings.TrimSuffix(wrong.Message, "."), hint)
}
