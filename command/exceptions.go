package command

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"ringhook/conf"
	deskpages "ringhook/desk"
	"ringhook/dialplan"
	"ringhook/lookup/number"
	"ringhook/lookup/phonebook"
	"ringhook/pops"
	"ringhook/store/desk"
)

type exceptionsCmd struct {
	Import exceptionsImportCmd `cmd:"" help:"Add the numbers of a CSV file: number, note, agent."`
	List   exceptionsListCmd   `cmd:"" help:"List the numbers that do not pop."`
	Export exceptionsExportCmd `cmd:"" help:"Print them as CSV: number, note, agent."`
	Remove exceptionsRemoveCmd `cmd:"" help:"Remove a number."`
}

type exceptionsImportCmd struct {
	File  string `arg:"" help:"The file; - for standard input."`
	Agent string `placeholder:"ID" help:"The numbers are those of this agent; of all agents otherwise."`
}

// maxImported is the maximum number of lines of a file.
const maxImported = 100_000

// maxExceptions is the maximum size of a file, in bytes.
const maxExceptions = 16 << 20

// Run adds all numbers, or none if a line is wrong. A running server knows them within two seconds.
func (c *exceptionsImportCmd) Run(s *streams) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	text, err := readInput(c.File, maxExceptions)
	if err != nil {
		return err
	}
	list, err := readExceptions(text, c.Agent, cfg)
	if err == nil && len(list) == 0 {
		err = errors.New("there is no number in it: each line is a number, and a note and an agent if they are known")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	d, err := openDesk(s, cfg, true)
	if err != nil {
		return err
	}
	if err = errors.Join(d.AddExceptions(list...), d.Close()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d exceptions added\n", len(list))
	return nil
}

// readExceptions reads number, note and agent from each line, or the columns that the first line names. Empty lines and
// those that begin with # are left out. The file is one that ringhook or a spreadsheet wrote.
func readExceptions(raw []byte, agent string, cfg *conf.Config) (list []desk.Exception, err error) {
	if what, wrong := phonebook.Describe(bytes.NewReader(raw)); wrong {
		return nil, errors.New(what)
	}
	text, err := io.ReadAll(phonebook.Decoded(bytes.NewReader(raw)))
	if err != nil {
		return nil, err
	}
	comma, rest, err := separator(string(text))
	if err != nil {
		return nil, err
	}
	lines := csv.NewReader(strings.NewReader(rest))
	lines.Comma, lines.FieldsPerRecord, lines.Comment, lines.TrimLeadingSpace = comma, -1, '#', comma != '\t'
	numbers, now := number.NewReader(cfg.Number), time.Now()
	columns := exceptionColumns{0, 1, 2}
	for first := true; ; first = false {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := lines.FieldPos(0)
		if first {
			if named, ok := namedColumns(fields); ok {
				columns = named
				continue
			}
		}
		if !slices.ContainsFunc(fields, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			continue
		}
		given := columns.field(fields, 0)
		pattern, ok := deskpages.Exception(given, numbers)
		owner := cmp.Or(columns.field(fields, 2), agent)
		switch {
		case slices.ContainsFunc(fields, func(s string) bool { return !utf8.ValidString(s) }):
			return nil, fmt.Errorf("line %d is not UTF-8: save the file in that encoding", line)
		case numbers.Several(given):
			return nil, fmt.Errorf("line %d: %q may be two numbers: give each a line", line, given)
		case !ok:
			return nil, fmt.Errorf("line %d: %q is no number; write +4930123456, 101, or +4930* for all that begin with it", line, given)
		case owner != "" && !slices.ContainsFunc(cfg.Agents, func(a dialplan.Agent) bool { return a.ID == owner }):
			return nil, fmt.Errorf("line %d: the configuration has no [[agent]] with the id %q", line, owner)
		case len(list) == maxImported:
			return nil, fmt.Errorf("line %d: more than %d numbers", line, maxImported)
		}
		list = append(list, desk.Exception{Number: pattern, Agent: owner, Note: pops.Clean(columns.field(fields, 1), 200), Who: "the command line", Created: now})
	}
}

// exceptionColumns are the columns with number, note and agent, -1 for one that is missing.
type exceptionColumns [3]int

// field returns the value of a column, empty if the line does not have it.
func (c exceptionColumns) field(fields []string, which int) string {
	if at := c[which]; at >= 0 && at < len(fields) {
		return strings.TrimSpace(phonebook.FromCell(fields[at]))
	}
	return ""
}

// namedColumns returns the columns that a first line names, such as number,note,agent. ok is false if it names none.
func namedColumns(fields []string) (columns exceptionColumns, ok bool) {
	called := func(names ...string) func(string) bool {
		return func(s string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(s))) }
	}
	for i, isColumn := range []func(string) bool{phonebook.IsNumberColumn, called("note", "name"), called("agent")} {
		columns[i] = slices.IndexFunc(fields, isColumn)
	}
	return columns, columns[0] >= 0
}

// separator returns what stands between the columns of a table, and the table without a line such as sep=; that names it.
// In another table it is the first comma, semicolon, tab or bar, which no number has.
func separator(text string) (comma rune, table string, err error) {
	at := 0
	for line := range strings.Lines(text) {
		at++
		comma, named, err := phonebook.NamedSeparator(line)
		if err != nil {
			return 0, "", fmt.Errorf("line %d %w", at, err)
		}
		if named {
			return comma, strings.Replace(text, line, "\n", 1), nil
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := strings.IndexAny(line, ",;\t|"); at >= 0 {
			return rune(line[at]), text, nil
		}
	}
	return ',', text, nil
}

type exceptionsListCmd struct {
	JSON bool `name:"json" help:"Print them as JSON."`
}

// Run lists the exceptions of all agents and of each.
func (c *exceptionsListCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		list, err := d.Exceptions()
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(s.out, map[string]any{"exceptions": append([]desk.Exception{}, list...)})
		}
		w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NUMBER\tAGENT\tADDED\tBY\tNOTE")
		for _, e := range list {
			owner := e.Agent
			if owner == "" {
				owner = "all"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(e.Number), printable(owner), e.Created.Format(time.DateOnly), printable(e.Who), printable(e.Note))
		}
		return w.Flush()
	})
}

type exceptionsExportCmd struct{}

// Run prints what import reads.
func (c *exceptionsExportCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		list, err := d.Exceptions()
		if err != nil {
			return err
		}
		w := csv.NewWriter(s.out)
		for _, e := range list {
			if err := w.Write([]string{e.Number, phonebook.Cell(e.Note), phonebook.Cell(e.Agent)}); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	})
}

type exceptionsRemoveCmd struct {
	Number string `arg:"" help:"The number, as the list has it."`
	Agent  string `placeholder:"ID" help:"That of this agent; that of all agents otherwise."`
}

// Run removes one exception.
func (c *exceptionsRemoveCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		removed, err := d.RemoveException(c.Number, c.Agent)
		if err == nil && !removed {
			err = fmt.Errorf("there is no exception %q: `ringhook exceptions list` lists them", c.Number)
		}
		return err
	})
}
