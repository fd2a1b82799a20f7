//go:build e2e

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// freepbx is a kind of FreePBX, with the Asterisk that it is tried on.
type freepbx struct {
	suite, shape string
	overrides    string // folder of contrib/freepbx/level2
}

// freepbxes are the two kinds of dialplan that FreePBX generates: with Macro() and without.
var freepbxes = []freepbx{{"bullseye", "freepbx16.conf", "15-16"}, {"sid", "freepbx17.conf", "17"}}

// freepbxConfig is what the lab adds to ringhook.toml of contrib/freepbx, in conf.d.
const freepbxConfig = `
[http]
token = %q

[number]
country = "RU"

[store]
folder = %q

[[lookup]]
name = "crm"
points = ["queue-dial", "agent-dial", "lookup"]
url = "http://127.0.0.1:8080/who?phone=%%callerid%%"

[[hook]]
name = "journal"
events = ["*"]
url = "http://127.0.0.1:8080/cti"
`

// freepbxAgents are the phones, as `ringhook freepbx plan` writes them.
func freepbxAgents() string {
	var b strings.Builder
	for phone := 101; phone <= lastPhone; phone++ {
		fmt.Fprintf(&b, "\n[[agent]]\nphone = \"%d\"\n", phone)
	}
	return b.String()
}

// contribFile returns a file of contrib/freepbx, as an administrator copies it.
func contribFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "contrib", "freepbx", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newFreePBX starts an Asterisk with a dialplan of the shape that FreePBX generates and the
// files of one level of contrib/freepbx, unchanged.
func newFreePBX(t *testing.T, kind freepbx, level string, scenarios []pbxScenario) *lab {
	t.Helper()
	shape, err := os.ReadFile(filepath.Join("testdata", kind.shape))
	if err != nil {
		t.Fatal(err)
	}
	incoming, manager := "from-trunk", ""
	over := map[string]string{
		"extensions.conf":                  string(shape),
		"extensions_custom.conf":           contribFile(t, level+"/extensions_custom.conf"),
		"extensions_override_freepbx.conf": "",
		"globals_custom.conf":              "",
		"queues.conf":                      freepbxQueues(),
		"res_parking.conf":                 freepbxParking,
		"features.conf":                    "[general]\n[featuremap]\ndisconnect => **\natxfer => *2\nblindxfer => ##\n",
	}
	if level == "level2" {
		// Late answers and commands need it beside the dialplan's points.
		incoming, manager = "from-trunk-ringhook", "\n[[ami]]\nusername = \"lab\"\nsecret = \"lab-s3cret\"\n"
		over["extensions_override_freepbx.conf"] = contribFile(t, "level2/"+kind.overrides+"/extensions_override_freepbx.conf")
		over["globals_custom.conf"] = contribFile(t, "level2/globals_custom.conf")
	}
	if level == "level3" {
		general, _, _ := strings.Cut(managerConf, "[ringhook]")
		_, others, _ := strings.Cut(managerConf, "[lab]")
		over["manager.conf"] = general + "#include manager_custom.conf\n[lab]" + others
		over["manager_custom.conf"] = contribFile(t, "level3/manager_custom.conf")
	}
	over["pjsip.conf"] = strings.NewReplacer("context=ringhook-incoming", "context="+incoming, "context=ringhook-phones", "context=from-internal").Replace(pjsipConf(phoneIP))
	trunk := func(name, context string) {
		over["pjsip.conf"] = strings.NewReplacer("["+name+"]\ntype=endpoint\ncontext=from-internal", "["+name+"]\ntype=endpoint\ncontext="+context,
			"callerid=Agent "+name+" <"+name+">", "").Replace(over["pjsip.conf"])
	}
	trunk(latinTrunk, "from-trunk-latin")
	over["extensions_custom.conf"] += fmt.Sprintf("\n[from-trunk-latin]\nexten => _[+0-9]!,1,Set(__RINGHOOK_NAME_SCRIPT=latin)\n same => n,Goto(%s,${EXTEN},1)\n", incoming)
	if level == "level2" {
		trunk(toHeaderTrunk, "from-trunk-ringhook-toheader")
	}

	l := &lab{asterisk: startAsterisk(t, kind.suite, over), server: newServer(t, 4575, 4580), pbx: newPBXRun(t, level, scenarios)}
	t.Log(l.asterisk.version)
	files := map[string]string{
		"ringhook.toml":   contribFile(t, level+"/ringhook.toml"),
		"environment":     "RINGHOOK_AMI_SECRET=a-secret-of-your-own\n",
		"conf.d/lab.toml": fmt.Sprintf(freepbxConfig, token, filepath.Join(l.server.folder, "data")) + manager + freepbxAgents(),
	}
	if err := os.Mkdir(filepath.Join(l.server.folder, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(l.server.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.crm = newCompany(t)
	l.server.start(t)
	t.Cleanup(func() { l.server.stop() })
	return l
}

// freepbxQueues are queues of the shape that FreePBX generates: one for each site, whose members are
// called as phones call each other, one with the same members called alone, 549 for calls to
// s, and 588, in which the Agent Timeout ends the ring.
func freepbxQueues() string {
	var b strings.Builder
	b.WriteString("[general]\npersistentmembers=no\nautofill=yes\n")
	queue := func(id int, phones ...int) {
		fmt.Fprintf(&b, "[%d]\nstrategy=linear\ntimeout=15\nretry=1\nringinuse=no\nsetinterfacevar=yes\ntimeoutrestart=yes\n", id)
		fmt.Fprintf(&b, "context=%s\n", map[bool]string{true: "ivr-2", false: "queuecallback-1"}[id < 550])
		for _, phone := range phones {
			fmt.Fprintf(&b, "member => Local/%[1]d@from-queue/n,0,Agent %[1]d,PJSIP/%[1]d\n", phone)
		}
	}
	for n := range sites {
		if first := sitePhone(n); first != 0 {
			queue(500+n, first, first+1)
			queue(550+n, first, first+1)
		}
	}
	queue(588, 177, 178)
	queue(549, 197, 198)
	return b.String()
}

// freepbxParking is the parking lot as FreePBX generates it, but for the time until a call returns.
const freepbxParking = "[general]\n[default]\nparkext=>70\nparkpos=>71-78\ncontext=>parkedcalls\nparkingtime=>10\ncomebacktoorigin=>no\nfindslot=>first\n"

// site is what one scenario has of a FreePBX to itself.
type site struct {
	queue, extensions, group, hunt string    // the last three have the same phones
	phones                         [2]string // the first has a mailbox
}

// sites is the number of sites: more than all scenarios of a level have.
const sites = 48

// sitePhone returns the first phone of a site, 0 if there is no such site: 177 to 198 have uses of their own, and so do
// queue 588 and the phone without an address.
func sitePhone(n int) int {
	switch first := 101 + 2*n; {
	case n >= 39:
		return first + 22
	case n == 38, fmt.Sprint(first) == registeringPhone:
		return 0
	default:
		return first
	}
}

// pbxScenario is a scenario of calls through a FreePBX.
type pbxScenario struct {
	name  string
	test  func(t *testing.T, l *lab)
	sites int // that it has to itself; 0 is one
	// level3 are the events of its calls at level 3, in the form of expect and in the order of expect's calls, where
	// they are not those of level 2, and except the parameters that differ. docs/freepbx.md says why.
	level3, except []string
}

// pbxRun is what the scenarios of one lab share.
type pbxRun struct {
	level string
	of    map[string]*pbxScenario // by the name of the test

	mu      sync.Mutex
	sites   map[string][]site   // by the name of the test, those that it has not taken yet
	stories map[string][]story  // of the calls of a test
	level3  map[string][]string // that expect has not used yet
}

// newPBXRun assigns every scenario sites that are the same at each level, so that events can be compared.
func newPBXRun(t *testing.T, level string, scenarios []pbxScenario) *pbxRun {
	t.Helper()
	r := &pbxRun{level: level, of: map[string]*pbxScenario{}, sites: map[string][]site{}, stories: map[string][]story{}, level3: map[string][]string{}}
	n := 0
	for i := range scenarios {
		s := &scenarios[i]
		r.of[s.name], r.level3[s.name] = s, s.level3
		for range max(1, s.sites) {
			for sitePhone(n) == 0 {
				n++
			}
			phones := [2]string{fmt.Sprint(sitePhone(n)), fmt.Sprint(sitePhone(n) + 1)}
			r.sites[s.name] = append(r.sites[s.name], site{fmt.Sprint(500 + n), fmt.Sprint(550 + n), fmt.Sprintf("6%02d", n), fmt.Sprint(650 + n), phones})
			n++
		}
	}
	if n > sites {
		t.Fatalf("the scenarios want %d sites, there are %d", n, sites)
	}
	return r
}

// scenarioOf returns the name of the scenario that a test plays: the last part of its name, with blanks.
func (r *pbxRun) scenarioOf(t *testing.T) string {
	return strings.ReplaceAll(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], "_", " ")
}

// site returns the next site of a scenario.
func (l *lab) site(t *testing.T) site {
	t.Helper()
	l.pbx.mu.Lock()
	defer l.pbx.mu.Unlock()
	name := l.pbx.scenarioOf(t)
	own := l.pbx.sites[name]
	if len(own) == 0 {
		t.Fatalf("%q has no more sites", name)
	}
	l.pbx.sites[name] = own[1:]
	return own[0]
}

// plays notes that a scenario plays the calls of a story.
func (r *pbxRun) plays(t *testing.T, s story) story {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.scenarioOf(t)
	r.stories[name] = append(r.stories[name], s)
	return s
}

// reported returns the events of each story of each scenario: those of the story's calls.
func (l *lab) reported() map[string][][]event {
	all := map[string][][]event{}
	for name, stories := range l.pbx.stories {
		for _, s := range stories {
			calls := map[string]bool{}
			for _, e := range s.events() {
				calls[e.text("linkedid")] = true
			}
			var of []event
			for id := range calls {
				of = append(of, s.receiver.where("linkedid", id)...)
			}
			all[name] = append(all[name], of)
		}
	}
	return all
}

// toHeaderTrunk is, at level 2, a trunk that has the called number in the header To; else it is a phone.
const toHeaderTrunk = "219"

// latinTrunk is a trunk whose callers' names are shown in Latin letters.
const latinTrunk = "218"

// The kinds of numbers of the shape.
const (
	plainCall      = "0"
	menuCall       = "2"
	superfectaCall = "5" // with a name, a prefix and a priority of the route
)

// freepbxNumber is a number that leads to a destination.
func freepbxNumber(kind, destination string) string { return "7495123" + kind + destination }

// cyrillic is a name longer than what FreePBX keeps of it.
const cyrillic = "Александра Константинопольская"

func TestFreePBX(t *testing.T) {
	for _, kind := range freepbxes {
		if !slices.Contains(suites, kind.suite) {
			continue
		}
		told := map[string]map[string][][]event{}
		for _, level := range []struct {
			name      string
			scenarios []pbxScenario
		}{{"level1", freepbxNames}, {"level2", freepbxEvents}, {"level3", freepbxEvents}} {
			t.Run(kind.suite+"/"+level.name, func(t *testing.T) {
				l := newFreePBX(t, kind, level.name, level.scenarios)
				if level.name != "level1" { // which has no manager account
					l.watchQueues(t)
				}
				t.Run("at once", func(t *testing.T) {
					for _, s := range level.scenarios {
						l.run(t, s.name, func(t *testing.T, l *lab) {
							t.Parallel()
							s.test(t, l)
						})
					}
				})
				l.crm.recheck(t)
				told[level.name] = l.reported()
			})
		}
		t.Run(kind.suite+"/level 3 as level 2", func(t *testing.T) { sameLevels(t, told["level2"], told["level3"]) })
	}
}

// sameLevels compares the events of levels 2 and 3 field by field, but for what a scenario excepts.
func sameLevels(t *testing.T, level2, level3 map[string][][]event) {
	for _, s := range freepbxEvents {
		if len(level2[s.name]) != len(level3[s.name]) || len(level2[s.name]) == 0 {
			if len(level2) == len(level3) { // else tests were left out
				t.Errorf("%s has %d stories at level 2, and %d at level 3", s.name, len(level2[s.name]), len(level3[s.name]))
			}
			continue
		}
		for i, want := range level2[s.name] {
			want = slices.DeleteFunc(slices.Clone(want), func(e event) bool { return e.text("event") == "call-dial" })
			got := level3[s.name][i]
			except := append(slices.Clone(alwaysExcept), s.except...)
			if len(s.level3) > i && s.level3[i] != "" { // expect has looked at which there are
				want, got = inBoth(want, got, except)
			}
			sameEvents(t, fmt.Sprintf("level 3, %s, call %d", s.name, i+1), got, want, except)
		}
	}
}

// inBoth leaves out events that only one of two lists has.
func inBoth(a, b []event, except []string) (_, _ []event) {
	key := func(e event) string {
		e = without([]event{e}, except)[0]
		return e.text("event") + " " + e.text("queue_id") + " " + e.text("agent_phone") + " " + e.text("dialed")
	}
	common := func(a, b []event) []event {
		left := map[string]int{}
		for _, e := range b {
			left[key(e)]++
		}
		return slices.DeleteFunc(slices.Clone(a), func(e event) bool {
			left[key(e)]--
			return left[key(e)] < 0
		})
	}
	return common(a, b), common(b, a)
}

// freepbxNames are tried at level 1: names and priorities, without events.
var freepbxNames = []pbxScenario{
	{name: "second queue", test: nameInSecondQueue},
	{name: "queue", test: nameInQueue},
	{name: "long name", test: longName},
	{name: "trunk with Latin names", test: latinName},
	{name: "ring group", test: nameInGroup},
	{name: "unknown caller", test: unknownName, sites: 2},
	{name: "superfecta", test: superfectaName},
	{name: "superfecta, known", test: superfectaKnown},
	{name: "priority", test: queuePriority},
	{name: "given up while the CRM is asked", test: goneDuringLookup},
}

// latinName is a caller by a trunk whose context sets the script of names.
func latinName(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	l.shows(t, freepbxNumber(plainCall, s.queue), s.phones[0], "Q:Mariia", caller{From: latinTrunk, Number: number})
}

// shows plays a call to a number, and checks the name that the phone shows.
func (l *lab) shows(t *testing.T, to, phoneName, want string, c caller) {
	t.Helper()
	p := l.phone(t, phoneName, phone{Talk: time.Second})
	l.call(t, to, c).wait(t)
	showed(t, p, want)
}

func nameInQueue(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Карл Ивáнов"))
	l.shows(t, freepbxNumber(plainCall, s.queue), s.phones[0], "Q:Карл Ивáнов", caller{Number: number, Name: "As sent"})
}

// nameInSecondQueue is a caller whom the CRM knows only when the second queue asks: FreePBX has
// reset the priority, and the name is asked for again.
func nameInSecondQueue(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Карл Ивáнов", "QUEUE_PRIO", "7"))
	first := l.phone(t, s.phones[0], phone{Refuse: "486 Busy Here"})
	second := l.phone(t, s.phones[1], phone{Silent: true})
	call := l.call(t, freepbxNumber(plainCall, s.extensions), caller{Number: number, Told: true})
	for _, p := range []*sipp{first, second} {
		eventually(t, "the phone rang in both queues", func() bool { return len(p.invites(t)) >= 2 })
	}
	call.tell(t)
	call.wait(t)
	for _, p := range []*sipp{first, second} {
		from := p.headers(t, "From")
		for _, name := range from {
			if !strings.HasPrefix(name, `"Q:Карл Ивáнов" <sip:`) {
				t.Errorf("a phone showed %q", name)
			}
		}
	}
}

// longName is cut at the end of a letter, where FreePBX itself would cut inside one.
func longName(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", cyrillic))
	l.shows(t, freepbxNumber(plainCall, s.queue), s.phones[0], "Q:Александра Констант", caller{Number: number})
}

func nameInGroup(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	l.shows(t, freepbxNumber(plainCall, s.group), s.phones[1], "Мария", caller{Number: number})
}

// unknownName keeps what FreePBX has: the trunk's name, or the number.
func unknownName(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.shows(t, freepbxNumber(plainCall, s.queue), s.phones[0], "Q:As sent", caller{Number: number, Name: "As sent"})
	other := l.site(t)
	l.shows(t, freepbxNumber(plainCall, other.queue), other.phones[0], "Q:"+number, caller{Number: number})
}

// superfectaName keeps the name that FreePBX's own lookup found.
func superfectaName(t *testing.T, l *lab) {
	s := l.site(t)
	l.shows(t, freepbxNumber(superfectaCall, s.queue), s.phones[0], "Q:Superfecta", caller{Number: l.caller(t)})
}

func superfectaKnown(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", `Anna "the boss", O'Neil: x`))
	l.shows(t, freepbxNumber(superfectaCall, s.queue), s.phones[0], `Q:Anna \"the boss\", O'Neil: x`, caller{Number: number})
}

// queuePriority wins over that of FreePBX's destination, which stays where the CRM has none.
func queuePriority(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("QUEUE_PRIO", "9"))
	l.phone(t, s.phones[0], phone{Silent: true})
	plain := l.caller(t)
	l.call(t, freepbxNumber(superfectaCall, s.queue), caller{Number: plain, Told: true})
	l.priority(t, plain, "3")
	l.call(t, freepbxNumber(superfectaCall, s.queue), caller{Number: number, Told: true})
	l.priority(t, number, "9")
}

// priority waits until a caller's channel has a priority.
func (l *lab) priority(t *testing.T, number, want string) {
	t.Helper()
	got := ""
	eventually(t, "the caller has the priority "+want, func() bool {
		for line := range strings.Lines(l.asterisk.cli(t, "core show channels concise")) {
			fields := strings.Split(line, "!")
			if len(fields) > 7 && strings.HasPrefix(fields[0], "PJSIP/trunk-") && fields[7] == number {
				got = l.asterisk.channel(t, fields[0]).fields["QUEUE_PRIO"]
			}
		}
		return got == want
	})
}

// goneDuringLookup hangs up while ringhook is asked.
func goneDuringLookup(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	asked := l.crm.silent(number)
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Told: true})
	<-asked
	call.tell(t)
	call.wait(t)
}
