package conf

import (
	"os"
	"path/filepath"
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
	for i := range c.AMI {
		resolve(&c.AMI[i].CAFile)
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
