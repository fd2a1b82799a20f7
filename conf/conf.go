// Package conf reads ringhook.toml. It puts together the settings that each
// room owns, begins with their defaults, and says everything that is wrong
// with a file at once, each with its line and with what would be right.
// A Config that it returns without an error is complete and can be used as it is.
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

	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
)

// maxSize is the most that a configuration file may have, in bytes.
const maxSize = 1 << 20

// byteOrderMark may stand before the first line.
const byteOrderMark = "\xef\xbb\xbf"

// Config is everything that ringhook.toml says.
type Config struct {
	FastAGI  fastagi.Config   `toml:"fastagi"`
	HTTP     HTTPConfig       `toml:"http"`
	Store    store.Config     `toml:"store"`
	Number   number.Config    `toml:"number"`
	Dialplan dialplan.Config  `toml:"dialplan"`
	Queues   []dialplan.Queue `toml:"queue"`
	Agents   []dialplan.Agent `toml:"agent"`
	Lookups  []lookup.Config  `toml:"lookup"`
	Hooks    []hooks.Config   `toml:"hook"`

	// Warnings are what is doubtful in the file, and no reason not to start.
	Warnings []Mistake
}

// HTTPConfig is the [http] table.
type HTTPConfig struct {
	// Listen is the address and port of /metrics, /healthz and /readyz, and of
	// the API.
	Listen string `toml:"listen"`
	// Token is what programs have to know that use the API. Without one it is
	// off.
	Token string `toml:"token"`
}

// Default gives the settings that are in force without a file.
func Default() *Config {
	return &Config{
		FastAGI:  fastagi.DefaultConfig(),
		HTTP:     HTTPConfig{Listen: "127.0.0.1:4580"},
		Store:    store.DefaultConfig(),
		Number:   number.DefaultConfig(),
		Dialplan: dialplan.DefaultConfig(),
	}
}

// Load reads a configuration file, with the process's environment for
// ${NAME}. The error is an *Error where the file's content is wrong.
func Load(path string) (*Config, error) {
	data, mode, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, r, err := parse(path, data, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o004 != 0 {
		c.Warnings = append(c.Warnings, r.readable(mode.Perm())...)
		slices.SortStableFunc(c.Warnings, byLine)
	}
	return c, nil
}

// read gives a file's content, up to one byte more than is allowed, and its mode.
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

// Parse reads a configuration from its text. Name is what messages call the
// file, env tells the variables of the environment. The error is an *Error.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c, _, err := parse(name, data, env)
	return c, err
}

func parse(name string, data []byte, env func(string) (string, bool)) (*Config, *report, error) {
	r := &report{file: name}
	file := &place{}
	if len(data) > maxSize {
		r.wrong(file, "", "the file is larger than %d bytes; it is no configuration", maxSize)
		return nil, nil, r.done()
	}
	var tables map[string]any
	if _, err := toml.Decode(string(data), &tables); err != nil {
		r.syntax(string(data), err)
		return nil, nil, r.done()
	}
	root := locate(string(data))
	c := Default()
	d := &decoder{report: r, env: env, begin: map[reflect.Type]beginning{
		reflect.TypeFor[lookup.Config](): func(*place, any) any { return lookup.DefaultConfig() },
		reflect.TypeFor[hooks.Config]():  r.hook,
	}}
	d.table(root, "", tables, reflect.ValueOf(c).Elem())
	r.check(c, root)
	if err := r.done(); err != nil {
		return nil, nil, err
	}
	c.Warnings = r.doubts(c, root)
	return c, r, nil
}

// syntax notes why a text is no TOML. The parser's own line and column are those
// behind the error where it stands at the end or the beginning of a line.
func (r *report) syntax(text string, err error) {
	var wrong toml.ParseError
	if !errors.As(err, &wrong) {
		r.wrong(&place{}, "", "%v", err)
		return
	}
	text = strings.TrimPrefix(text, byteOrderMark)
	before := text[:min(max(wrong.Position.Start, 0), len(text))]
	at := &place{line: strings.Count(before, "\n") + 1}
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	hint := ""
	if strings.HasPrefix(wrong.Message, "expected value") || strings.Contains(wrong.Message, "top-level item to end") {
		hint = "; texts and durations stand in quotes"
	}
	r.wrong(at, wrong.LastKey, "column %d: %s%s", column, strings.TrimSuffix(wrong.Message, "."), hint)
}
