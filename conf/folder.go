package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// resolve makes the relative paths of a configuration absolute. They are relative to
// the folder of the file, so that the service and all commands use the same files
// in whatever folder they are started.
func (r *report) resolve(c *Config, folder string, root *position) {
	resolve := func(paths ...*string) {
		for _, p := range paths {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(folder, *p)
			}
		}
	}
	former := c.Store.Folder
	resolve(&c.Store.Folder)
	r.moved(root.key("store").key("folder"), former, c.Store.Folder)
	resolve(&c.Desk.CertFile, &c.Desk.KeyFile, &c.Recordings.Folder)
	for i := range c.AMI {
		resolve(&c.AMI[i].CAFile)
	}
	for i := range c.Shared {
		resolve(&c.Shared[i].CAFile, &c.Shared[i].CertFile, &c.Shared[i].KeyFile)
	}
	for i := range c.Lists {
		resolve(&c.Lists[i].CAFile)
	}
	for i := range c.Lookups {
		l := &c.Lookups[i].Credentials
		resolve(&l.CAFile, &l.CertFile, &l.KeyFile)
	}
	for i := range c.Hooks {
		h := &c.Hooks[i].Credentials
		resolve(&h.CAFile, &h.CertFile, &h.KeyFile)
	}
}

// moved reports a store at the place where a relative folder was before: until then it was
// relative to the working directory. A new store beside it would lose what is pending there.
func (r *report) moved(at *position, former, folder string) {
	former, err := filepath.Abs(former)
	if err != nil || former == folder || hasStore(folder) || !hasStore(former) {
		return
	}
	r.wrong(at, "store.folder", "there is no store in %s, but there is one in %s: a relative folder is now relative to the configuration file. "+
		"Move that store to %s, or write folder = %q", folder, former, folder, former)
}

func hasStore(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "outbox.db"))
	return err == nil
}

// header matches the line that begins a table.
var header = regexp.MustCompile(`^\[+\s*([^\]]*?)\s*\]`)

// maxFolderLine is the maximum length of a line that StoreFolder reads, in bytes: no path is longer.
const maxFolderLine = 4096

// StoreFolder returns the store's folder that a configuration names, also if the configuration has mistakes. A command
// finds the running server by it, and the server reports the mistakes. Each line is read alone, so that a mistake
// elsewhere does not matter. The error says which file cannot be read.
func StoreFolder(file string) (string, error) {
	texts, err := read(file)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	d := &decoder{report: &report{}, env: environmentBeside(file)}
	folder := Default().Store.Folder
	for _, text := range texts {
		table := ""
		for line := range strings.Lines(string(text.data)) {
			line = strings.TrimSpace(strings.TrimPrefix(line, byteOrderMark))
			if m := header.FindStringSubmatch(line); m != nil {
				table = m[1]
				continue
			}
			if table == "store" {
				line = "store." + line
			} else if table != "" {
				continue
			}
			var found struct{ Store struct{ Folder string } }
			if !strings.HasPrefix(line, "store") || !strings.Contains(line, "folder") || len(line) > maxFolderLine {
				continue
			}
			if _, err := toml.Decode(line, &found); err != nil || found.Store.Folder == "" {
				continue
			}
			if expanded, ok := d.expand(&position{}, "store.folder", found.Store.Folder); ok {
				folder = expanded
			}
		}
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(filepath.Dir(file), folder)
	}
	return filepath.Abs(folder)
}
