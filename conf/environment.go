package conf

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"ringhook/conffile"
)

// environmentFile is the name of a file beside the configuration that holds
// variables for ${NAME}, one NAME=value a line, as EnvironmentFile of systemd
// reads it. The service gets them from systemd; a command that an administrator
// runs would not have them without this.
const environmentFile = "environment"

// environmentBeside returns the variables of the process, and after them those of
// the file "environment" in the folder of the configuration, if it can be read.
func environmentBeside(config string) func(string) (string, bool) {
	f, _, err := conffile.Open(filepath.Join(filepath.Dir(config), environmentFile))
	if err != nil {
		return os.LookupEnv
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return os.LookupEnv
	}
	further := parseEnvironment(string(data))
	return func(name string) (string, bool) {
		if value, set := os.LookupEnv(name); set {
			return value, true
		}
		value, set := further[name]
		return value, set
	}
}

// parseEnvironment reads NAME=value lines. Empty lines and lines that begin with #
// or ; are skipped, and a pair of quotes around a value is removed.
func parseEnvironment(text string) map[string]string {
	vars := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
			value = value[1 : n-1]
		}
		vars[strings.TrimSpace(name)] = value
	}
	return vars
}
