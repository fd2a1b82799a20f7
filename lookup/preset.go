package lookup

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed presets/*.toml
var presets embed.FS

// Preset returns the text of a preset: the body of a [[lookup]] table without name,
// points, url and credentials, for one kind of CRM. A table variables in it is not part of the lookup,
// see PresetVariables.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// PresetVariables returns the variables that a preset sets beyond those that every lookup may set, as
// [dialplan] variables has them.
func PresetVariables(name string) map[string]any {
	text, ok := Preset(name)
	if !ok {
		return nil
	}
	var p struct {
		Variables map[string]any `toml:"variables"`
	}
	if _, err := toml.Decode(string(text), &p); err != nil {
		panic(fmt.Sprintf("preset %s, which is part of the program: %v", name, err))
	}
	return p.Variables
}

// Presets returns the names of the presets, sorted.
func Presets() []string {
	files, err := presets.ReadDir("presets")
	if err != nil {
		panic(err) // the folder is in the program itself
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".toml")
	}
	slices.Sort(names)
	return names
}
