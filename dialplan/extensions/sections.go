package extensions

import "fmt"

// Setting is one line `key = value` of a configuration file.
type Setting struct {
	Line       int // from 1, in the file that has it
	Key, Value string
}

// Section holds the settings below all headers of one name.
type Section struct {
	Name     string
	Settings []Setting
}

// Sections reads a configuration file of Asterisk and the files that it includes, with the limits and by the
// rules of Check. It returns an error if the file cannot be read as text.
func Sections(file string) ([]Section, error) {
	r := newReader(file)
	if err := r.readFile(file); err != nil {
		return nil, err
	}
	for _, f := range r.report.findings {
		if f.File == file && f.Severity == Error && f.Code != "include" {
			return nil, fmt.Errorf("%s: %s", file, f.Text)
		}
	}
	all := make([]Section, 0, len(r.order))
	for _, s := range r.order {
		section := Section{Name: s.name, Settings: make([]Setting, 0, len(s.settings))}
		for _, line := range s.settings {
			section.Settings = append(section.Settings, Setting{line.at.line, line.key, line.value})
		}
		all = append(all, section)
	}
	return all, nil
}
