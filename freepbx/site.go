// Package freepbx reads the configuration folder of a FreePBX or an Issabel, and plans the changes of its files
// that connect it to ringhook. It reads only what these programs generate, and changes only the files
// that they leave to the administrator.
package freepbx

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ringhook/dialplan/extensions"
)

// Kind is the program that generated a folder.
type Kind int

// The kinds. FreePBX 15 and 16 generate one shape of dialplan.
const (
	FreePBX16 Kind = iota + 1 // 15 and 16: with Macro()
	FreePBX17                 // with Gosub()
	Issabel
)

// String returns the name of the kind.
func (k Kind) String() string {
	return [...]string{"", "FreePBX 15 or 16", "FreePBX 17", "Issabel"}[k]
}

// Site is what a folder has.
type Site struct {
	Folder string
	Kind   Kind
	Trunks []Trunk
	Queues []Queue
	Groups []Group
	Phones []Phone
	Lots   []string // the extensions of the parking lots
	// NoCustom reports that the generated contexts do not include the administrator's.
	NoCustom bool
	// UsesFastAGI reports that the generated dialplan has scripts at 127.0.0.1:4573.
	UsesFastAGI bool
	// Recording is what an Issabel does before a queue (q) and a ring group (rg): for each the steps after the
	// priority, such as ",Return()" or "(label),Return()". They are nil for FreePBX.
	Recording map[string][]string
}

// Trunk is an endpoint through which calls come in.
type Trunk struct{ Name, Context string }

// Queue is one of queues_additional.conf.
type Queue struct {
	ID      string
	Timeout int    // seconds that a phone rings, the Agent Timeout; 0 is no limit
	Context string // in which the members are called, by the Agent Restrictions
	Members []string
}

// Group is a ring group.
type Group struct{ ID, Strategy string }

// Phone is an extension with its name.
type Phone struct{ Number, Name string }

// The generated files that are read. Only the first must exist.
const (
	dialplanFile = "extensions_additional.conf"
	queuesFile   = "queues_additional.conf"
)

var endpointFiles = []string{"pjsip.endpoint.conf", "sip_additional.conf", "iax_additional.conf"}

const issabelOverride = "extensions_override_issabelpbx.conf"

// Read reads a folder such as /etc/asterisk.
func Read(folder string) (*Site, error) {
	plan, err := sections(filepath.Join(folder, dialplanFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has no %s: it is not the folder of a FreePBX or an Issabel", folder, dialplanFile)
		}
		return nil, err
	}
	s := &Site{Folder: folder}
	if err := s.findKind(plan); err != nil {
		return nil, err
	}
	check := plan["sub-record-check"]
	s.NoCustom = !slices.ContainsFunc(check, func(l extensions.Setting) bool {
		return l.Key == "include" && l.Value == "sub-record-check-custom"
	})
	for _, lines := range plan {
		s.UsesFastAGI = s.UsesFastAGI || slices.ContainsFunc(lines, func(l extensions.Setting) bool {
			return strings.Contains(l.Value, "AGI(agi://127.0.0.1/")
		})
	}
	if s.Kind == Issabel {
		if err := s.readRecording(check); err != nil {
			return nil, err
		}
	}
	s.readGroups(plan["ext-group"])
	s.readLots(plan["park-return-routing"])
	if err := s.readQueues(plan["from-queue"]); err != nil {
		return nil, err
	}
	return s, s.readEndpoints(plan["ext-local"])
}

// sections returns the settings of a file by section.
func sections(file string) (map[string][]extensions.Setting, error) {
	all, err := extensions.Sections(file)
	if err != nil {
		return nil, err
	}
	by := make(map[string][]extensions.Setting, len(all))
	for _, s := range all {
		by[s.Name] = s.Settings
	}
	return by, nil
}

// findKind decides by the generated dialplan which program made it.
func (s *Site) findKind(plan map[string][]extensions.Setting) error {
	if _, err := os.Lstat(filepath.Join(s.Folder, issabelOverride)); err == nil {
		s.Kind = Issabel
		return nil
	}
	macros, gosubs := 0, 0
	for _, lines := range plan {
		for _, l := range lines {
			if strings.Contains(l.Value, "Macro(") {
				macros++
			}
			if strings.Contains(l.Value, "Gosub(macro-") {
				gosubs++
			}
		}
	}
	switch {
	case plan["sub-record-check"] == nil || macros+gosubs == 0:
		return fmt.Errorf("%s: this is not the dialplan of a FreePBX from 15 to 17 or of an Issabel", filepath.Join(s.Folder, dialplanFile))
	case macros > gosubs:
		s.Kind = FreePBX16
	default:
		s.Kind = FreePBX17
	}
	return nil
}

// step matches the rest of a step of an extension: 1,Return() or n(label),Return().
var step = regexp.MustCompile(`^(1|n)(\([\w-]+\))?,(.+)$`)

// readRecording reads the extensions q and rg of sub-record-check, whose steps are repeated after ringhook's. One that
// cannot be read is an error: without it recording would work in another way.
func (s *Site) readRecording(check []extensions.Setting) error {
	s.Recording = map[string][]string{}
	file := filepath.Join(s.Folder, dialplanFile)
	last := ""
	for _, l := range check {
		rest := l.Value
		switch l.Key {
		case "same":
		case "exten":
			last, rest, _ = strings.Cut(rest, ",")
			last = strings.TrimSpace(last)
		default:
			continue
		}
		name, _, caller := strings.Cut(last, "/")
		if name != "q" && name != "rg" {
			continue
		}
		m := step.FindStringSubmatch(rest)
		if caller || m == nil || (m[1] == "1") != (len(s.Recording[name]) == 0) {
			return fmt.Errorf("%s:%d: [sub-record-check] has a step that ringhook cannot repeat: %s => %.100s: an Issabel writes exten => %s,1,... and then exten => %[5]s,n,...; see docs/freepbx.md#issabel",
				file, l.Line, l.Key, l.Value, name)
		}
		s.Recording[name] = append(s.Recording[name], m[2]+","+m[3])
	}
	for _, name := range []string{"q", "rg"} {
		if s.Recording[name] == nil {
			return fmt.Errorf("%s: [sub-record-check] has no extension %s, as that of an Issabel does", file, name)
		}
	}
	return nil
}

// exten is the beginning of a line of the dialplan: exten => 500,1,...
var exten = regexp.MustCompile(`^([0-9*#]{1,20}),([^,]+),(.*)$`)

func (s *Site) readGroups(lines []extensions.Setting) {
	known := map[string]bool{}
	for _, l := range lines {
		m := exten.FindStringSubmatch(l.Value)
		if l.Key != "exten" || m == nil {
			continue
		}
		if len(s.Groups) == 0 || s.Groups[len(s.Groups)-1].ID != m[1] {
			if known[m[1]] {
				continue
			}
			known[m[1]] = true
			s.Groups = append(s.Groups, Group{ID: m[1]})
		}
		if method, ok := strings.CutPrefix(m[3], "Set(RingGroupMethod="); ok {
			if method = strings.TrimSuffix(method, ")"); method != "none" && method != "" {
				s.Groups[len(s.Groups)-1].Strategy = method
			}
		}
	}
}

// readLots finds the extensions to which a parked call returns.
func (s *Site) readLots(lines []extensions.Setting) {
	for _, l := range lines {
		if m := exten.FindStringSubmatch(l.Value); l.Key == "exten" && m != nil && m[2] == "1" && m[3] == "Set(PLOT="+m[1]+")" {
			s.Lots = append(s.Lots, m[1])
		}
	}
}

// memberLine matches the value of a member of a queue.
var memberLine = regexp.MustCompile(`^(?:Local/|PJSIP/|SIP/|Agent/)([^@/,]{1,40})`)

func (s *Site) readQueues(fromQueue []extensions.Setting) error {
	contexts := map[string]string{} // by the queue
	for _, l := range fromQueue {
		if id, target, ok := strings.Cut(l.Value, ",1,Goto("); ok && l.Key == "exten" {
			contexts[id], _, _ = strings.Cut(target, ",")
		}
	}
	file := filepath.Join(s.Folder, queuesFile)
	all, err := extensions.Sections(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, section := range all {
		if section.Name == "general" || section.Name == "default" || !identifier.MatchString(section.Name) {
			continue
		}
		q := Queue{ID: section.Name}
		for _, l := range section.Settings {
			switch l.Key {
			case "timeout":
				if q.Timeout, err = strconv.Atoi(cmp.Or(l.Value, "0")); err != nil {
					return fmt.Errorf("%s:%d: timeout of the queue %s is no number of seconds: %.40q", file, l.Line, q.ID, l.Value)
				}
			case "member":
				if m := memberLine.FindStringSubmatch(l.Value); m != nil {
					q.Members = append(q.Members, m[1])
				}
			}
		}
		q.Context = contexts[q.ID]
		s.Queues = append(s.Queues, q)
	}
	slices.SortFunc(s.Queues, func(a, b Queue) int { return compareNumbers(a.ID, b.ID) })
	return nil
}

var (
	// identifier matches the names of queues, phones and trunks that are taken over.
	identifier = regexp.MustCompile(`^[A-Za-z0-9_.+*#-]{1,60}$`)
	// callerID matches callerid=Anna <101>.
	callerID = regexp.MustCompile(`^(.*?)\s*<[^<>]*>$`)
)

// readEndpoints finds phones and trunks in the files of the channel drivers. A phone is an extension of
// ext-local.
func (s *Site) readEndpoints(local []extensions.Setting) error {
	phones := map[string]bool{} // false once they are found
	for _, l := range local {
		if m := exten.FindStringSubmatch(l.Value); l.Key == "exten" && m != nil {
			phones[m[1]] = true
		}
	}
	for _, file := range endpointFiles {
		all, err := extensions.Sections(filepath.Join(s.Folder, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, section := range all {
			s.addEndpoint(section, phones)
		}
	}
	slices.SortFunc(s.Phones, func(a, b Phone) int { return compareNumbers(a.Number, b.Number) })
	slices.SortFunc(s.Trunks, func(a, b Trunk) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func (s *Site) addEndpoint(section extensions.Section, phones map[string]bool) {
	if !identifier.MatchString(section.Name) {
		return
	}
	var context, name string
	for _, l := range section.Settings {
		switch l.Key {
		case "context":
			context = l.Value
		case "callerid":
			if m := callerID.FindStringSubmatch(l.Value); m != nil && m[1] != section.Name && m[1] != "device" {
				name = strings.ReplaceAll(strings.Trim(m[1], `"`), `\"`, `"`)
			}
		}
	}
	unseen, isPhone := phones[section.Name]
	switch {
	case isPhone && unseen:
		phones[section.Name] = false
		s.Phones = append(s.Phones, Phone{section.Name, name})
	case isPhone:
	case strings.HasPrefix(context, "from-trunk"), strings.HasPrefix(context, "from-pstn"):
		s.Trunks = append(s.Trunks, Trunk{section.Name, context})
	}
}

// compareNumbers compares texts of digits as numbers.
func compareNumbers(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
