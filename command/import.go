package command

import (
	"fmt"

	"ringhook/importer"
)

type importCmd struct {
	ThreeCX import3CXCmd     `cmd:"" name:"3cx" help:"Convert a CRM template of 3CX."`
	Yeastar importYeastarCmd `cmd:"" help:"Convert an integration template of the Yeastar P-Series."`
}

type import3CXCmd struct {
	File string `arg:"" help:"The template in XML."`
}

// Run prints the tables that do what the template does.
func (c *import3CXCmd) Run(s *streams) error { return importTemplate(s, c.File, importer.ThreeCX) }

type importYeastarCmd struct {
	File string `arg:"" help:"The template in XML."`
}

// Run prints the tables that do what the template does.
func (c *importYeastarCmd) Run(s *streams) error { return importTemplate(s, c.File, importer.Yeastar) }

// importTemplate prints a template as a part of ringhook.toml, and lists on standard error what could not be carried
// over.
func importTemplate(s *streams, file string, read func([]byte) (*importer.Result, error)) error {
	text, err := readInput(file, importer.MaxSize)
	if err != nil {
		return err
	}
	result, err := read(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !result.Empty() {
		if _, err := s.out.Write(result.TOML()); err != nil {
			return err
		}
	}
	if len(result.Left) > 0 {
		fmt.Fprintln(s.err, "Not carried over, or to be checked:")
	}
	for _, text := range result.Left {
		fmt.Fprintln(s.err, "-", printable(text))
	}
	if result.Empty() {
		return fmt.Errorf("%s: nothing of the template could be carried over", file)
	}
	return nil
}
