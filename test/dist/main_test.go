package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestLicences wants a licence to be listed for everything that is linked into
// ringhook, and no other.
func TestLicences(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"licences"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\ngithub.com/mattn/go-sqlite3 v", "\nsqlite 3.", "\nstd 1.", "Redistribution and use in source", "Permission is hereby granted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the licences lack %q", want)
		}
	}
}

func TestLicencesRefused(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/LICENSE", []byte("Apache License\nVersion 2.0"), 0o600); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]string{
		"":                                  "read its licence",
		"a.example/b MIT":                   "does not look like MIT",
		"a.example/b Apache-2.0 AND MIT":    "does not look like MIT",
		"a.example/b Unknown-1.0":           "does not look like Unknown",
		"a.example/b Apache-2.0\nc.d/e MIT": "c.d/e is in",
		"a.example/b Apache-2.0":            "",
	} {
		err := license([]part{{Path: "a.example/b", Dir: folder}}, list)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", list, err, want)
		}
	}
}

func TestSBOM(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"sbom", "v1.2.3"}, &out); err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Metadata.Component.PURL != "pkg:golang/ringhook@v1.2.3" || len(b.Components) < 25 {
		t.Errorf("got\n%s", &out)
	}
	seen := map[string]bool{}
	for _, c := range b.Components {
		if seen[c.Ref] || c.Version == "" || len(c.Licences) != 1 {
			t.Errorf("component %+v", c)
		}
		seen[c.Ref] = true
	}
}
