//go:build e2e

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// The lab's addresses. Every phone has one of its own, 127.0.0.101 for 101 and
// so on; the namespace's loopback has them all.
const (
	firstNet   = "127.0.0."
	asteriskIP = firstNet + "1"
	trunkIP    = firstNet + "9"
	sipPort    = 5060
)

func phoneIP(phone string) string { return firstNet + phone }

// The lab has queues of its own beside those of the sample, so that no call of one
// test meets another's: each with three phones, and one with a single phone.
const (
	labQueues     = 26
	firstLabQueue = 520
	firstLabPhone = 121
	lastPhone     = 219 // after those of the lab's queues and of the calls that are reported in all ways
	soloQueue     = "519"
	soloPhone     = "120"
	emptyQueue    = "518" // has no members, and is left at once
	plainQueue    = "517" // as an administrator without the samples has it, with README's lines around it
	plainPhone    = "119"
	askedQueue    = "516" // the same, with agent-answer as the queue's AGI
	askedPhone    = "118"
)

// queue is one that a test has to itself.
type queue struct {
	id     string
	did    string    // the number that leads to it
	phones [3]string // its members, in the order in which they are rung
}

func labQueue(n int) queue {
	q := queue{id: fmt.Sprint(firstLabQueue + n)}
	q.did = queueNumber(q.id)
	for i := range q.phones {
		q.phones[i] = fmt.Sprint(firstLabPhone + n*len(q.phones) + i)
	}
	return q
}

// The lab's numbers, beside those of the sample: one for each queue, and one for
// each phone.
func queueNumber(id string) string    { return "74960000" + id }
func phoneNumber(phone string) string { return "74961000" + phone }

// noload are the modules that open ports of their own, or want what a chroot
// does not have.
var noload = []string{
	"chan_iax2", "chan_unistim", "chan_mgcp", "chan_skinny", "chan_ooh323", "chan_dahdi", "chan_sip", "chan_mobile",
	"chan_motif", "pbx_dundi", "cdr_radius", "cel_radius", "cdr_pgsql", "cdr_adaptive_odbc", "res_snmp", "res_xmpp",
	"res_config_ldap", "res_phoneprov",
}

// writeConfig writes the whole configuration of an Asterisk. contrib's own
// files are in it as they are, but for those of over.
func writeConfig(a *asterisk, over map[string]string) error {
	modules, err := filepath.Glob(a.root + "/usr/lib/*/asterisk/modules")
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		modules = []string{a.root + "/usr/lib/asterisk/modules"}
	}
	files := map[string]string{
		"asterisk.conf": asteriskConf(strings.TrimPrefix(modules[0], a.root), a.entity()),
		"modules.conf":  "[modules]\nautoload=yes\nnoload=" + strings.Join(noload, ".so\nnoload=") + ".so\n",
		"logger.conf":   "[general]\ndateformat=%T.%3q\n[logfiles]\nfull => notice,warning,error,verbose(4)\n",
		"rtp.conf":      "[general]\nrtpstart=10000\nrtpend=11000\n",
		"manager.conf":  managerConf,
		// Without a sound a held caller hears nothing, and Asterisk sends no MusicOnHoldStart.
		"musiconhold.conf": "[default]\nmode=files\ndirectory=" + workplace + "/moh\n",
		// Without this file Asterisk has no PJSIPNotify.
		"pjsip_notify.conf": "",
		"pjsip.conf":        pjsipConf(phoneIP),
		"queues.conf":       queuesConf() + reportQueues(),
		"extensions.conf":   extensionsConf + usedExtensions + benchExtensions + reportExtensions,
	}
	var failed []error
	queues, err := os.ReadFile(filepath.Join("..", "..", "contrib", "queues_ringhook.conf"))
	files["queues_ringhook.conf"] = string(queues)
	failed = append(failed, err)
	callID, err := os.ReadFile(filepath.Join("..", "..", "contrib", "examples", "extensions_callid.conf"))
	files["extensions_callid.conf"] = string(callID)
	failed = append(failed, err)
	files["extensions_ringhook.conf"], err = sampleDialplan()
	failed = append(failed, err)
	maps.Copy(files, over)
	for name, text := range files {
		failed = append(failed, os.WriteFile(filepath.Join(a.folder, "etc", name), []byte(text), 0o644))
	}
	failed = append(failed, os.Mkdir(filepath.Join(a.folder, "moh"), 0o755),
		os.WriteFile(filepath.Join(a.folder, "moh", "silence.alaw"), bytes.Repeat([]byte{0xd5}, 8000), 0o644))
	// The rest is as Debian has it.
	for _, name := range []string{"acl", "ccss", "cdr", "cel", "codecs", "features", "indications", "res_parking", "sorcery", "stasis"} {
		if _, own := over[name+".conf"]; own {
			continue
		}
		text, err := os.ReadFile(filepath.Join(a.root, "etc", "asterisk", name+".conf"))
		failed = append(failed, err, os.WriteFile(filepath.Join(a.folder, "etc", name+".conf"), text, 0o644))
	}
	return errors.Join(failed...)
}

// sampleDialplan returns the sample, with its line for a second server in use.
func sampleDialplan() (string, error) {
	text, err := os.ReadFile(filepath.Join("..", "..", "contrib", "extensions_ringhook.conf"))
	if err != nil {
		return "", err
	}
	const second = "same => n,ExecIf($[\"${RINGHOOK_STATUS}\" = \"\"]?AGI(agi://127.0.0.1:4574"
	used := strings.Replace(string(text), "\n;"+second, "\n "+second, 1)
	if used == string(text) {
		return "", errors.New("the sample dialplan has no line for a second server")
	}
	return reportable(used)
}

// asteriskConf lists the folders of Asterisk. Without entityid it would look
// for a network card.
func asteriskConf(modules, entity string) string {
	return fmt.Sprintf(`[directories]
astetcdir => %[1]s/etc
astdbdir => %[1]s/db
astspooldir => %[1]s/spool
astrundir => %[1]s/run
astlogdir => %[1]s/log
astmoddir => %[2]s
astvarlibdir => /var/lib/asterisk
astkeydir => /var/lib/asterisk
astdatadir => /usr/share/asterisk
astagidir => /usr/share/asterisk/agi-bin
[options]
verbose = 4
entityid = %[3]s
`, workplace, modules, entity)
}

// pjsipConf has the trunk and every phone, which is called at the address that at returns.
func pjsipConf(at func(phone string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[udp]\ntype=transport\nprotocol=udp\nbind=%s:%d\n", asteriskIP, sipPort)
	endpoint := func(name, from, at, context, more string) {
		fmt.Fprintf(&b, `[%[1]s]
type=endpoint
context=%[3]s
aors=%[1]s
disallow=all
allow=alaw
direct_media=no
%[4]s
[%[1]s]
type=aor
%[5]s
[%[1]s]
type=identify
endpoint=%[1]s
match=%[2]s
`, name, from, context, more, at)
	}
	contact := func(name, at string) string { return fmt.Sprintf("contact=sip:%s@%s:%d", name, at, sipPort) }
	endpoint("trunk", trunkIP, contact("trunk", trunkIP), "ringhook-incoming", "trust_id_inbound=yes")
	for phone := 101; phone <= lastPhone; phone++ {
		name := fmt.Sprint(phone)
		reached := contact(name, at(name))
		if name == registeringPhone {
			reached = "max_contacts=2"
		}
		endpoint(name, phoneIP(name), reached, "ringhook-phones", "callerid=Agent "+name+" <"+name+">")
	}
	return b.String()
}

func queuesConf() string {
	var b strings.Builder
	b.WriteString("[general]\npersistentmembers=no\n#include queues_ringhook.conf\n")
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\nmember => Local/%[2]s@ringhook-agents/n,0,Agent %[2]s,PJSIP/%[2]s\n", soloQueue, soloPhone)
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\njoinempty=no\n", emptyQueue)
	fmt.Fprintf(&b, "[%s]\nmember => PJSIP/%[2]s,0,Agent %[2]s\n[%[3]s]\nmember => PJSIP/%[4]s,0,Agent %[4]s\n", plainQueue, plainPhone, askedQueue, askedPhone)
	for n := range labQueues {
		q := labQueue(n)
		fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n", q.id)
		for _, phone := range q.phones {
			fmt.Fprintf(&b, "member => Local/%[1]s@ringhook-agents/n,0,Agent %[1]s,PJSIP/%[1]s\n", phone)
		}
	}
	return b.String()
}

// extensionsConf is what an administrator has, numbers for the lab's own
// queues and for every phone, one whose calls are recorded, and a place where only a lookup is made.
const extensionsConf = `[general]
static=yes
[globals]
#include extensions_ringhook.conf
[ringhook-numbers](+)
exten => _749600005XX,1,Goto(ringhook-queues,${EXTEN:-3},1)
exten => _749630005XX,1,Goto(ringhook-queues,${EXTEN:-3},1)
exten => 74962000500,1,MixMonitor(${UNIQUEID}.wav)
 same => n,Goto(ringhook-queues,500,1)
exten => 74960000517,1,Goto(plain,517,1)
exten => 74960000516,1,Goto(plain,516,1)
exten => _749610001XX,1,Goto(ringhook-direct,${EXTEN:-3},1)
[plain]
exten => 517,1,Answer()
 same => n,AGI(agi://127.0.0.1:4573/queue-dial,queue_id=517)
 same => n,Queue(517)
 same => n,AGI(agi://127.0.0.1:4573/queue-hangup)
exten => 516,1,Answer()
 same => n,AGI(agi://127.0.0.1:4573/queue-dial,queue_id=516)
 same => n,Queue(516,,,,,agi://127.0.0.1:4573/agent-answer)
exten => h,1,AGI(agi://127.0.0.1:4573/call-hangup)
[lab]
exten => wait,1,Answer()
 same => n,Wait(60)
exten => _X.,1,AGI(agi://127.0.0.1:4573/lookup,callerid=+${EXTEN})
 same => n,Wait(60)
`

// usedExtensions are a number that goes where the lookup of the type did says.
const usedExtensions = `[ringhook-numbers](+)
exten => 74962000501,1,GotoIf($["${did_type}" != ""]?used,${did_type},1)
 same => n,Hangup(1)
#include extensions_callid.conf
[used]
exten => goto,1,Goto(ringhook-queues,${FILTER(0-9,${did_target})},1)
exten => sip,1,AGI(agi://127.0.0.1:4573/agent-dial,agent_phone=${did_target},call_id=${FILTER(0-9A-Za-z._\-,${PJSIP_HEADER(read,X-Call-ID)})})
 same => n,Dial(PJSIP/${FILTER(0-9,${did_target})},30,b(ringhook-callid^send^1(${did_target})))
`
