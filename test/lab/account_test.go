//go:build e2e

package lab

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ringhook/control"
)

// accountsConfig is the part of ringhook.toml for SIP accounts, and wizardConf the template that docs/control.md shows.
const (
	accountsConfig = `
[accounts]
template = "ringhook-phone"
context = "ringhook-accounts"
transports = { udp = "udp", wss = "wss" }

[campaign]
context = "lab-campaign"
hours = ""
`
	campaignExtensions = `
[lab-campaign]
exten => _1XX,1,Dial(PJSIP/${EXTEN},30)
exten => menu,1,Wait(1)
 same => n,Hangup()
`
	wizardConf = `; accounts of the lab
[ringhook-phone](!)
type = wizard
accepts_registrations = yes
accepts_auth = yes
endpoint/context = ringhook-phones
endpoint/disallow = all
endpoint/allow = alaw
aor/max_contacts = 1
aor/remove_existing = yes
hint_application = Dial(${HINT},30)

[handmade](ringhook-phone)
inbound_auth/username = handmade
inbound_auth/password = a-password-by-hand
`
	accountPhone = "127.0.0.250"
)

// TestAccounts creates SIP accounts on both Asterisks, registers phones with them, changes and deletes them.
func TestAccounts(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newAccountLab(t, suite)
			l.run(t, "an account", accountLife)
			l.run(t, "the Yemot dialect", accountDialect)
			l.run(t, "a campaign of the Yemot dialect", bridging)
			l.run(t, "rights", func(t *testing.T, l *lab) {
				out, err := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(l.server.folder, "ringhook.toml"), "ami", "check").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "write = agent,call,originate,reporting,config") {
					t.Errorf("ami check: %v\n%s", err, out)
				}
			})
		})
	}
}

// newAccountLab starts an Asterisk with the template, and a ringhook that may change its files.
func newAccountLab(t *testing.T, suite string) *lab {
	t.Helper()
	over := map[string]string{
		"manager.conf":      strings.Replace(managerConf, "write = agent,call,originate,reporting\n", "write = agent,call,originate,reporting,config\n", 1),
		"pjsip_wizard.conf": wizardConf,
		"extensions.conf":   extensionsConf + usedExtensions + benchExtensions + reportExtensions + campaignExtensions,
		"pjsip.conf":        "[wss]\ntype=transport\nprotocol=wss\nbind=" + asteriskIP + "\n" + pjsipConf(phoneIP),
	}
	l := &lab{asterisk: startAsterisk(t, suite, over), server: newServer(t, 4573, 4580)}
	t.Log(l.asterisk.version)
	l.server.extend(t, accountsConfig)
	l.server.start(t)
	t.Cleanup(func() { l.server.stop() })
	l.server.awaitLive(t)
	return l
}

// wizard returns pjsip_wizard.conf as it is now.
func (a *asterisk) wizard(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.folder, "etc", "pjsip_wizard.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func accountLife(t *testing.T, l *lab) {
	created := l.createAccount(t, `{"extension": "231", "caller_id": "+74951234500", "transport": "udp"}`)
	password := created.Password
	if got := registers(t, "231", password, 60); got != "200" {
		t.Errorf("REGISTER with the new account: %s", got)
	}
	if got := registers(t, "231", password+"x", 60); got != "401" && got != "403" {
		t.Errorf("REGISTER with a wrong password: %s", got)
	}
	eventually(t, "the phone is shown as registered", func() bool {
		_, text := l.server.ask(t, "GET", "/accounts", "")
		return strings.Contains(text, `"account":"231"`) && strings.Contains(text, `"registered":true`)
	})
	shown := func(what string, want ...string) {
		t.Helper()
		endpoint := l.asterisk.cli(t, "pjsip show endpoint 231")
		for _, pattern := range want {
			if !regexp.MustCompile(pattern).MatchString(endpoint) {
				t.Errorf("%s: the endpoint has no %q:\n%s", what, pattern, endpoint)
			}
		}
	}
	dialled := func(extension string, want bool) {
		t.Helper()
		text := l.asterisk.cli(t, "dialplan show "+extension+"@ringhook-accounts")
		if got := strings.Contains(text, "Dial(${HINT},30)") && strings.Contains(text, "PJSIP/231"); got != want {
			t.Errorf("extension %s is there: %t, want %t\n%s", extension, got, want, text)
		}
	}
	shown("created", `callerid +: <?\+74951234500>?`, `transport +: udp`, `context +: ringhook-phones`, `webrtc +: (no|false)`)
	dialled("231", true)
	l.command(t, "POST", "/accounts", `{"extension": "231"}`, 409, "state")
	l.command(t, "POST", "/accounts", `{"account": "handmade"}`, 409, "state")
	l.command(t, "POST", "/accounts", `{"account": "101"}`, 409, "state") // one of pjsip.conf
	l.command(t, "DELETE", "/accounts/handmade", "", 404, "unknown")

	l.command(t, "PATCH", "/accounts/231", `{"extension": "250"}`, 200, `"extension":"250"`)
	dialled("231", false)
	dialled("250", true)
	l.command(t, "PATCH", "/accounts/231", `{"caller_id": ""}`, 200, `"account":"231"`)
	if endpoint := l.asterisk.cli(t, "pjsip show endpoint 231"); strings.Contains(endpoint, "+74951234500") {
		t.Errorf("the caller id was not removed:\n%s", endpoint)
	}
	l.command(t, "PATCH", "/accounts/231", `{"caller_id": "101", "transport": "wss"}`, 200, `"transport":"wss"`)
	shown("changed", `callerid +: <?101>?`, `transport +: wss`, `webrtc +: (yes|true)`)
	l.command(t, "PATCH", "/accounts/231", `{"extension": "", "transport": "udp"}`, 200, `"transport":"udp"`)
	dialled("250", false)
	shown("changed back", `transport +: udp`, `webrtc +: (no|false)`)
	l.command(t, "PATCH", "/accounts/231", `{"transport": "tls"}`, 400, "bad-request")
	if got := registers(t, "231", password, 60); got != "200" {
		t.Errorf("REGISTER after the changes: %s", got)
	}

	l.noPassword(t, password)
	l.command(t, "DELETE", "/accounts/231", "", 200, `"account":"231"`)
	if got := registers(t, "231", password, 60); got == "200" {
		t.Error("REGISTER with a deleted account: 200")
	}
	l.command(t, "DELETE", "/accounts/231", "", 404, "unknown")
	wizard := l.asterisk.wizard(t)
	if strings.Contains(wizard, "[231]") || !strings.Contains(wizard, "; accounts of the lab") || !strings.Contains(wizard, "a-password-by-hand") {
		t.Errorf("the file after the deletion:\n%s", wizard)
	}
	again := l.createAccount(t, `{"account": "231"}`)
	if got := registers(t, "231", password, 60); got == "200" || again.Password == password {
		t.Errorf("REGISTER with the former password: %s", got)
	}
	if got := registers(t, "231", again.Password, 60); got != "200" {
		t.Errorf("REGISTER with the account that was created again: %s", got)
	}
	l.command(t, "DELETE", "/accounts/231", "", 200, `"account":"231"`)
}

// createAccount creates an account and returns it with its password.
func (l *lab) createAccount(t *testing.T, body string) (created control.AccountCreated) {
	t.Helper()
	status, text := l.server.ask(t, "POST", "/accounts", body)
	if err := json.Unmarshal([]byte(text), &created); status != 201 || err != nil || len(created.Password) < 20 {
		t.Fatalf("create %s: %d %s, %v", body, status, text, err)
	}
	return created
}

// noPassword checks that a password is in no file of ringhook and not in Asterisk's.
func (l *lab) noPassword(t *testing.T, password string) {
	t.Helper()
	for _, root := range []string{l.server.folder, filepath.Join(l.asterisk.folder, "etc"), filepath.Join(l.asterisk.folder, "log")} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.Contains(string(text), password) {
				t.Errorf("the password is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// accountDialect does the same by the Yemot dialect.
func accountDialect(t *testing.T, l *lab) {
	created := l.yemot(t, "CreateSipAccount", "extNumber", "232")
	password, _ := created["PASS"].(string)
	if created["accountID"] != "232" || created["accountNumber"] != 232.0 || registers(t, "232", password, 60) != "200" {
		t.Fatalf("created: %v", created)
	}
	ok := func(command string, params ...string) map[string]any {
		t.Helper()
		answer := l.yemot(t, command, params...)
		if answer["responseStatus"] != "OK" {
			t.Errorf("%s %v: %v", command, params, answer)
		}
		return answer
	}
	if answer := ok("SipExtensionManagement", "action", "Set", "accountNumber", "232", "extNumber", "252"); answer["extNumber"] != 252.0 {
		t.Errorf("extension: %v", answer)
	}
	ok("EditCallerIdInSipAccount", "accountNumber", "232", "callerId", "0771234567")
	ok("SipToWss", "accountNumber", "232")
	if answer := ok("GetSipAccountsInCustomer"); !strings.Contains(fmt.Sprint(answer["accounts"]), "transport:wss") {
		t.Errorf("accounts: %v", answer)
	}
	ok("SipToUdp", "accountNumber", "232")
	if answer := ok("SipExtensionManagement", "action", "Set", "accountNumber", "232", "extNumber", ""); answer["extNumber"] != nil {
		t.Errorf("extension: %v", answer)
	}
	eventually(t, "the account is shown as registered", func() bool {
		answer := ok("GetSipAccountsRegisteredStatus")
		for _, one := range answer["accounts"].([]any) {
			if a := one.(map[string]any); a["userName"] == "232" {
				return a["registered"] == true && a["createdDate"] != nil
			}
		}
		return false
	})
	if answer := ok("DeleteSipAccount", "accountNumber", "232"); answer["affected_rows"] != 1.0 {
		t.Errorf("deleted: %v", answer)
	}
	if got := registers(t, "232", password, 60); got == "200" {
		t.Error("REGISTER with a deleted account: 200")
	}
}

// bridging calls two phones by the Yemot dialect; one answers, and is connected with an extension.
func bridging(t *testing.T, l *lab) {
	l.phone(t, "121", phone{})
	l.phone(t, "122", phone{Refuse: "486 Busy Here"})
	answer := l.yemot(t, "CallExtensionBridging", "phones", `[{"phones":["121","122","x"],"callerId":"0771234567"}]`, "ivrPath", "ivr2:/menu", "callsTimeOut", "20")
	id, _ := answer["campaignId"].(string)
	refused, _ := answer["errors"].(map[string]any)
	if answer["responseStatus"] != "OK" || answer["callsCount"] != 2.0 || answer["callsTimeout"] != 20.0 || len(refused) != 1 || refused["x"] == nil || id == "" {
		t.Fatalf("answer: %v", answer)
	}
	var v control.CampaignView
	eventually(t, "the campaign is done", func() bool {
		_, text := l.server.ask(t, "GET", "/campaigns/"+id, "")
		return json.Unmarshal([]byte(text), &v) == nil && v.State == "done"
	})
	if v.Results["answered"] != 1 || v.Results["busy"] != 1 {
		t.Errorf("results: %v, %+v", v.Results, v.Numbers)
	}
}

// registers registers a phone by the digest of a password, and returns the status of the last answer.
func registers(t *testing.T, account, password string, expires int) string {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(accountPhone), Port: sipPort}, &net.UDPAddr{IP: net.ParseIP(asteriskIP), Port: sipPort})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	uri, address, call := "sip:"+asteriskIP, fmt.Sprintf("<sip:%s@%s>", account, asteriskIP), fmt.Sprint(time.Now().UnixNano())
	send := func(cseq int, more string) string {
		t.Helper()
		text := strings.Join([]string{
			"REGISTER " + uri + " SIP/2.0", fmt.Sprintf("Via: SIP/2.0/UDP %s:%d;branch=z9hG4bK-%s-%d", accountPhone, sipPort, call, cseq), "Max-Forwards: 70",
			"From: " + address + ";tag=lab", "To: " + address, "Call-ID: " + call, fmt.Sprintf("CSeq: %d REGISTER", cseq),
			fmt.Sprintf("Contact: <sip:%s@%s:%d>", account, accountPhone, sipPort), fmt.Sprintf("Expires: %d", expires), "Content-Length: 0",
		}, "\r\n") + "\r\n" + more + "\r\n"
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		for {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := c.Read(answer)
			if err != nil {
				t.Fatalf("REGISTER as %s: %v", account, err)
			}
			if text := string(answer[:n]); strings.HasPrefix(text, "SIP/2.0 ") && strings.Contains(text, fmt.Sprintf("CSeq: %d REGISTER", cseq)) {
				return text
			}
		}
	}
	status := func(answer string) string { return strings.Fields(answer)[1] }
	first := send(1, "")
	challenge := regexp.MustCompile(`(?m)^WWW-Authenticate: Digest (.*)\r$`).FindStringSubmatch(first)
	if status(first) != "401" || challenge == nil {
		return status(first)
	}
	param := func(name string) string {
		m := regexp.MustCompile(name + `="?([^",]*)"?`).FindStringSubmatch(challenge[1])
		if m == nil {
			return ""
		}
		return m[1]
	}
	sum := func(parts ...string) string {
		h := md5.Sum([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h[:])
	}
	secret, request := sum(account, param("realm"), password), sum("REGISTER", uri)
	return status(send(2, fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, algorithm=MD5, opaque=%q, qop=auth, nc=00000001, cnonce=\"lab\"\r\n",
		account, param("realm"), param("nonce"), uri, sum(secret, param("nonce"), "00000001", "lab", "auth", request), param("opaque"))))
}
