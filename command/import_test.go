package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/app"
)

// TestImport checks that the tables go to standard output and the notes to standard error, and that another file is an
// error.
func TestImport(t *testing.T) {
	var out, errOut strings.Builder
	if code := Run(t.Context(), app.Build{}, []string{"import", "3cx", "../importer/testdata/3cx-contacts.xml"}, &out, &errOut); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	if !strings.Contains(out.String(), "\n[[lookup]]\n") || !strings.Contains(errOut.String(), "LookupByEmail") {
		t.Errorf("printed\n%s\nand\n%s", out.String(), errOut.String())
	}
	out.Reset()
	if code := Run(t.Context(), app.Build{}, []string{"import", "yeastar", "../importer/testdata/3cx-contacts.xml"}, &out, &out); code != 1 || !strings.Contains(out.String(), "no integration template of Yeastar") {
		t.Errorf("exit %d: %s", code, out.String())
	}
	empty := filepath.Join(t.TempDir(), "empty.xml")
	if err := os.WriteFile(empty, []byte(`<Crm Name="x"><Authentication Type="OAuth2"/></Crm>`), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	errOut.Reset()
	if code := Run(t.Context(), app.Build{}, []string{"import", "3cx", empty}, &out, &errOut); code != 1 || out.Len() > 0 || !strings.Contains(errOut.String(), "nothing of the template") {
		t.Errorf("nothing to convert: exit %d, %q, %s", code, out.String(), errOut.String())
	}
}
