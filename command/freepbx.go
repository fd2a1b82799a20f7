package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"ringhook/conf"
	"ringhook/freepbx"
)

type freepbxCmd struct {
	Plan freepbxPlanCmd `cmd:"" help:"Show what connects this FreePBX to ringhook, and write it."`
}

type freepbxPlanCmd struct {
	Folder string `arg:"" optional:"" default:"/etc/asterisk" help:"Asterisk's configuration folder."`
	Level  int    `default:"1" enum:"1,2,3" help:"1: names and priorities; 2: also all events; 3: all events by AMI."`
	Write  bool   `xor:"do" help:"Write the files that are shown; a copy of each is kept."`
	Remove bool   `xor:"do" help:"Remove what --write added."`
}

// Run prints the plan, and carries it out if that is wanted.
func (c *freepbxPlanCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	target := filepath.Join(filepath.Dir(cmp.Or(s.config, conf.DefaultFile)), "conf.d", freepbx.TOMLFile)
	if c.Remove {
		return c.remove(s, target)
	}
	site, err := freepbx.Read(c.Folder)
	if err != nil {
		return err
	}
	printSite(s.out, site)
	known, err := knownTo(cfg, target)
	if err != nil {
		return err
	}
	files, err := site.Plan(freepbx.Level(c.Level), target, known)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	freepbx.Diff(s.out, files)
	if c.Write {
		if err := freepbx.Write(files); err != nil {
			return err
		}
	}
	c.printSteps(s.out, site)
	return nil
}

func (c *freepbxPlanCmd) remove(s *streams, target string) error {
	files, err := freepbx.Removal(c.Folder, target)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no file of %s has anything that --write added", c.Folder)
	}
	freepbx.Diff(s.out, files)
	if err := freepbx.Remove(c.Folder, files); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "\nRemoved. Then reload (fwconsole reload; Issabel: asterisk -rx 'core reload'), and set the context of each trunk back if it was changed.")
	return nil
}

// knownTo returns the queues and agents of a configuration, without those of the file that the plan writes.
func knownTo(cfg *conf.Config, own string) (freepbx.Known, error) {
	var written struct {
		Queues []struct{ ID string }    `toml:"queue"`
		Agents []struct{ Phone string } `toml:"agent"`
	}
	// Without a file the configuration is that of the defaults, and a file of conf.d was not checked for its size and depth.
	if cfg.File != "" {
		if _, err := toml.DecodeFile(own, &written); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return freepbx.Known{}, err
		}
	}
	queues, phones := map[string]bool{}, map[string]bool{}
	for _, q := range cfg.Queues {
		queues[q.ID] = true
	}
	for _, a := range cfg.Agents {
		phones[a.Phone] = true
	}
	for _, q := range written.Queues {
		queues[q.ID] = false
	}
	for _, a := range written.Agents {
		phones[a.Phone] = false
	}
	return freepbx.Known{
		Queue: func(id string) bool { return queues[id] },
		Phone: func(id string) bool { return phones[id] },
	}, nil
}

func printSite(out io.Writer, s *freepbx.Site) {
	fmt.Fprintf(out, "%s: %s\n", printable(s.Folder), s.Kind)
	for _, t := range s.Trunks {
		fmt.Fprintf(out, "trunk       %s, context %s\n", t.Name, printable(t.Context))
	}
	for _, q := range s.Queues {
		rings := fmt.Sprintf("%d s", q.Timeout)
		if q.Timeout == 0 {
			rings = "without a limit"
		}
		fmt.Fprintf(out, "queue       %s: each phone rings %s, through %s; members: %s\n", q.ID, rings, printable(cmp.Or(q.Context, "?")), printable(cmp.Or(strings.Join(q.Members, " "), "none")))
	}
	for _, g := range s.Groups {
		fmt.Fprintf(out, "ring group  %s: %s\n", g.ID, printable(cmp.Or(g.Strategy, "?")))
	}
	for _, lot := range s.Lots {
		fmt.Fprintf(out, "parking     %s\n", lot)
	}
	for _, p := range s.Phones {
		fmt.Fprintf(out, "phone       %s %s\n", p.Number, printable(p.Name))
	}
	if s.UsesFastAGI {
		fmt.Fprintln(out, "port 4573 belongs to FreePBX's own FastAGI server: ringhook listens on 4575")
	}
}

// printSteps prints what remains to be done by hand.
func (c *freepbxPlanCmd) printSteps(out io.Writer, s *freepbx.Site) {
	fmt.Fprintln(out)
	if !c.Write {
		fmt.Fprintln(out, "Nothing was written: --write does it. Then:")
	} else {
		fmt.Fprintln(out, "Written. Then:")
	}
	if c.Level == 2 {
		for _, t := range s.Trunks {
			if want := "from-trunk-ringhook" + toHeader(t.Context); t.Context != want {
				fmt.Fprintf(out, "- web interface: trunk %s, PJSIP Settings, General, Context: %s\n", t.Name, want)
			}
		}
	}
	reload := "fwconsole reload"
	if s.Kind == freepbx.Issabel {
		reload = "asterisk -rx 'core reload'"
	}
	fmt.Fprintln(out, "- "+reload)
	fmt.Fprintln(out, "- systemctl restart ringhook")
	if c.Level == 3 {
		fmt.Fprintln(out, "- chmod o-rwx "+printable(filepath.Join(c.Folder, "manager_custom.conf"))+", which has a secret")
		fmt.Fprintln(out, "- sudo -u ringhook ringhook ami check")
	}
}

// toHeader returns what the name of ringhook's context ends with for a trunk that has the called number in
// the header To.
func toHeader(context string) string {
	if strings.Contains(context, "toheader") {
		return "-toheader"
	}
	return ""
}
