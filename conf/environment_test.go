package conf

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// TestEnvironmentBeside checks that a command gets the variables that systemd gives
// the service, and that those of its own process come first.
func TestEnvironmentBeside(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder, "ringhook.toml")
	write("ringhook.toml", "[http]\ntoken = \"${RINGHOOK_TOKEN_OF_TEST}\"\n")
	if _, err := Load(file); err == nil {
		t.Fatal("a variable that is set nowhere is accepted")
	}
	write("environment", "# of the service\n\nRINGHOOK_TOKEN_OF_TEST=\"0123456789-abcdef\"\n")
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Token != "0123456789-abcdef" {
		t.Errorf("got %q, want the value of the file", c.HTTP.Token)
	}
	t.Setenv("RINGHOOK_TOKEN_OF_TEST", "fedcba9876543210")
	if c, err = Load(file); err != nil || c.HTTP.Token != "fedcba9876543210" {
		t.Errorf("got %v, %v, want the value of the process", c, err)
	}
}

// TestParseEnvironment checks the lines that systemd's EnvironmentFile knows.
func TestParseEnvironment(t *testing.T) {
	got := parseEnvironment("A=1\n # B=2\n;C=3\nnothing\nD = 'four 4' \nE=\"\nF=\nG=a=b\r\n")
	want := map[string]string{"A": "1", "D": "four 4", "E": "\"", "F": "", "G": "a=b"}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
