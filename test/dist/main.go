// Command dist writes files for a package of ringhook: the licences of everything linked
// into it, or a list of its parts in CycloneDX.
//
//	go run ./test/dist licences
//	go run ./test/dist sbom VERSION
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// program is the package whose parts are listed.
const program = "ringhook"

//go:embed licences.txt
var listed string

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	parts, err := linked()
	if err != nil {
		return err
	}
	if err := license(parts, listed); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	switch {
	case len(args) == 1 && args[0] == "licences":
		err = writeLicences(w, parts)
	case len(args) == 2 && args[0] == "sbom":
		err = writeSBOM(w, args[1], parts)
	default:
		err = errors.New("usage: dist licences | dist sbom VERSION")
	}
	return errors.Join(err, w.Flush())
}

// part is a module or library that is linked into the program.
type part struct {
	Path, Version string
	Dir           string // where its source is
	Licence       string // SPDX identifier
	purl          string // package URL; empty for that of a Go module
}

// linked lists the modules of the program by name, then SQLite, which is inside one of
// them, and Go's standard library.
func linked() ([]part, error) {
	list, err := golang("list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", program)
	if err != nil {
		return nil, err
	}
	root, err := golang("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(list, "\n")
	slices.Sort(lines)
	var parts []part
	for _, line := range slices.Compact(lines) {
		if fields := strings.SplitN(line, " ", 3); len(fields) == 3 {
			parts = append(parts, part{Path: fields[0], Version: fields[1], Dir: fields[2]})
		}
	}
	sqlite, _, _ := sqlite3.Version()
	return append(parts,
		part{Path: "sqlite", Version: sqlite, Licence: "blessing", purl: "pkg:generic/sqlite@" + sqlite},
		part{Path: "std", Version: strings.TrimPrefix(runtime.Version(), "go"), Dir: root, Licence: "BSD-3-Clause"},
	), nil
}

// golang runs the go command and returns its output.
func golang(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// marks are words that only the text of one of these licences contains.
var marks = map[string]string{
	"MIT":          "Permission is hereby granted, free of charge, to any person",
	"BSD-3-Clause": "Neither the name|used to endorse or promote",
	"Apache-2.0":   "Apache License",
}

// license sets the licence of each part from the list. A part that is not listed, a line
// that no part needs, and a text that is not that of the licence are errors.
func license(parts []part, list string) error {
	licences := map[string]string{}
	for line := range strings.Lines(list) {
		if path, licence, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			licences[path] = licence
		}
	}
	var problems []error
	for i := range parts {
		p := &parts[i]
		if p.Licence != "" {
			continue
		}
		p.Licence = licences[p.Path]
		if p.Licence == "" {
			problems = append(problems, fmt.Errorf("%s is not in test/dist/licences.txt: read its licence and write it down", p.Path))
			continue
		}
		delete(licences, p.Path)
		texts, err := p.texts()
		if err != nil {
			return err
		}
		text := strings.Join(strings.Fields(string(bytes.Join(texts, nil))), " ")
		for name := range strings.SplitSeq(p.Licence, " AND ") {
			if marks[name] == "" || !regexp.MustCompile(marks[name]).MatchString(text) {
				problems = append(problems, fmt.Errorf("%s: its licence does not look like %s", p.Path, name))
			}
		}
	}
	for path := range licences {
		problems = append(problems, fmt.Errorf("%s is in test/dist/licences.txt and is not linked any more", path))
	}
	return errors.Join(problems...)
}

var licenceFile = regexp.MustCompile(`^(?i)(licen[cs]e|copying|notice|patents)(\.(txt|md))?$`)

// texts returns the files that must be distributed with a part.
func (p *part) texts() (texts [][]byte, err error) {
	if p.Dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(p.Dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !licenceFile.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, f.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s has no licence in it", p.Path)
	}
	return texts, nil
}

func writeLicences(w io.Writer, parts []part) error {
	fmt.Fprint(w, "Licences of what is linked into ringhook. ringhook's own is in LICENSE.\n\n")
	for i := range parts {
		fmt.Fprintf(w, "%s %s: %s\n", parts[i].Path, parts[i].Version, parts[i].Licence)
	}
	for i := range parts {
		texts, err := parts[i].texts()
		if err != nil {
			return err
		}
		for _, text := range texts {
			fmt.Fprintf(w, "\n\n==== %s %s ====\n\n%s\n", parts[i].Path, parts[i].Version, bytes.TrimSpace(text))
		}
	}
	return nil
}

// The words of CycloneDX 1.5 that are used here.
type (
	bom struct {
		Format     string      `json:"bomFormat"`
		Spec       string      `json:"specVersion"`
		Version    int         `json:"version"`
		Metadata   metadata    `json:"metadata"`
		Components []component `json:"components"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		PURL     string    `json:"purl"`
		Licences []licence `json:"licenses"`
	}
	licence struct {
		Licence    *id    `json:"license,omitempty"`
		Expression string `json:"expression,omitempty"`
	}
	id struct {
		ID string `json:"id"`
	}
)

func writeSBOM(w io.Writer, version string, parts []part) error {
	b := bom{Format: "CycloneDX", Spec: "1.5", Version: 1}
	b.Metadata.Component = (&part{Path: program, Version: version, Licence: "Apache-2.0"}).component("application")
	for i := range parts {
		b.Components = append(b.Components, parts[i].component("library"))
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(&b)
}

func (p *part) component(kind string) component {
	url := p.purl
	if url == "" {
		url = "pkg:golang/" + p.Path + "@" + p.Version
	}
	said := licence{Licence: &id{p.Licence}}
	if strings.Contains(p.Licence, " ") {
		said = licence{Expression: p.Licence}
	}
	return component{Type: kind, Ref: url, Name: p.Path, Version: p.Version, PURL: url, Licences: []licence{said}}
}
