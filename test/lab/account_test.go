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
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/store/desk"
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
			l.watchQueues(t)
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

// accountDialect creates, changes and deletes accounts by the Yemot dialect.
func accountDialect(t *testing.T, l *lab) {
	// create returns the password.
	create := func(way string, p params, number string) string {
		t.Helper()
		created := l.yemot(t, way, "CreateSipAccount", p)
		password := take[string](created, "PASS")
		checkAnswer(t, "CreateSipAccount", created, fmt.Sprintf(`{"responseStatus": "OK", "accountID": %q, "accountNumber": %[1]s}`, number))
		if got := registers(t, number, password, 60); got != "200" {
			t.Errorf("REGISTER as %s: %s", number, got)
		}
		return password
	}
	password := create(byQuery, params{"extNumber": 232}, "232")
	second := create(byJSON, params{"extNumber": "233"}, "233")
	shown := func(want ...string) {
		t.Helper()
		text := l.asterisk.cli(t, "pjsip show endpoint 232")
		for _, pattern := range want {
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("the endpoint has no %q:\n%s", pattern, text)
			}
		}
	}
	dialled := func(extension string, want bool) {
		t.Helper()
		text := l.asterisk.cli(t, "dialplan show "+extension+"@ringhook-accounts")
		if got := strings.Contains(text, "PJSIP/232"); got != want {
			t.Errorf("extension %s leads to the account: %t, want %t\n%s", extension, got, want, text)
		}
	}
	extension := func(way, want string) {
		t.Helper()
		l.answers(t, way, "SipExtensionManagement", params{"action": "Get", "accountNumber": 232}, fmt.Sprintf(`{"responseStatus": "OK", "extNumber": %s}`, want))
	}
	eventually(t, "the accounts are shown as registered", func() bool {
		found := 0
		for _, one := range l.yemot(t, byJSON, "GetSipAccountsRegisteredStatus", nil)["accounts"].([]any) {
			if a := one.(map[string]any); (a["userName"] == "232" || a["userName"] == "233") && a["registered"] == true && a["createdDate"] != nil {
				found++
			}
		}
		return found == 2
	})
	eventually(t, "the contact of each account is shown", func() bool {
		accounts, _ := l.yemot(t, byForm, "GetSipAccountsInCustomer", nil)["accounts"].([]any)
		return len(accounts) == 2 && !slices.ContainsFunc(accounts, func(a any) bool { return a.(map[string]any)["contactsCount"] != 1.0 })
	})
	extension(byQuery, "232")
	dialled("232", true)
	l.answers(t, byJSON, "SipExtensionManagement", params{"action": "Set", "accountNumber": 232, "extNumber": 252}, `{"responseStatus": "OK", "extNumber": 252}`)
	extension(byJSON, "252")
	dialled("232", false)
	dialled("252", true)

	l.answers(t, byQuery, "EditCallerIdInSipAccount", params{"accountNumber": 232, "callerId": "0771234567"}, yemotOK)
	shown(`callerid +: <?0771234567>?`)
	l.answers(t, byJSON, "SipToWss", params{"accountNumber": 232}, yemotOK)
	shown(`transport +: wss`, `webrtc +: (yes|true)`)
	listed := func(want string) {
		t.Helper()
		answer := l.yemot(t, byQuery, "GetSipAccountsInCustomer", nil)
		if limit := take[float64](answer, "accountLimit"); limit < 2 {
			t.Errorf("the limit is %v", limit)
		}
		for _, a := range answer["accounts"].([]any) {
			if _, err := time.ParseInLocation(time.DateTime, take[string](a.(map[string]any), "created_date"), time.Local); err != nil {
				t.Errorf("created_date: %v", err)
			}
		}
		checkAnswer(t, "GetSipAccountsInCustomer", answer, `{"responseStatus": "OK", "accounts": [`+want+`]}`)
	}
	const other = `{"id": "233", "accountNumber": 233, "customerExtension": 233, "transport": "", "callerid": "233", "specialCallerID": null, "password": "", "contactsCount": 1}`
	listed(`{"id": "232", "accountNumber": 232, "customerExtension": 252, "transport": "wss", "callerid": "0771234567", "specialCallerID": "0771234567", "password": "", "contactsCount": 1}, ` + other)

	l.answers(t, byQuery, "SipToUdp", params{"accountNumber": 232}, yemotOK)
	shown(`transport +: udp`, `webrtc +: (no|false)`)
	l.answers(t, byJSON, "EditCallerIdInSipAccount", params{"accountNumber": 232, "callerId": ""}, yemotOK)
	l.answers(t, byForm, "SipExtensionManagement", params{"action": "Set", "accountNumber": 232, "extNumber": ""}, `{"responseStatus": "OK", "extNumber": null}`)
	extension(byForm, "null")
	dialled("252", false)
	listed(`{"id": "232", "accountNumber": 232, "customerExtension": null, "transport": "udp", "callerid": "232", "specialCallerID": null, "password": "", "contactsCount": 1}, ` + other)
	if endpoint := l.asterisk.cli(t, "pjsip show endpoint 232"); strings.Contains(endpoint, "0771234567") {
		t.Errorf("the caller id was not removed:\n%s", endpoint)
	}
	l.answers(t, byJSON, "DeleteSipAccount", params{"accountNumber": []any{232, "233", 999}}, `{"responseStatus": "OK", "affected_rows": 2}`)
	for number, password := range map[string]string{"232": password, "233": second} {
		l.noPassword(t, password)
		if got := registers(t, number, password, 60); got == "200" {
			t.Errorf("REGISTER with the deleted account %s: 200", number)
		}
	}
	listed("")
	create(byForm, params{"extNumber": "232"}, "232")
	l.answers(t, byQuery, "DeleteSipAccount", params{"accountNumber": 232}, `{"responseStatus": "OK", "affected_rows": 1}`)
	l.answers(t, byQuery, "DeleteSipAccount", params{"accountNumber": 232}, `{"responseStatus": "OK", "affected_rows": 0}`)
}

// bridging calls two phones by the Yemot dialect, in each form of phones; one answers, and is connected with an
// extension.
func bridging(t *testing.T, l *lab) {
	const own, common = "0771234567", "0777654321" // caller ids
	one := func(number string) params { return params{"phone": number, "callerId": own} }
	group := params{"phones": []string{"121", "122", "x"}, "callerId": own}
	for _, c := range []struct {
		name, way, callerID string
		phones              any
	}{
		{"text", byQuery, common, "121:122:x"},
		{"list", byJSON, common, []any{"121", 122, "x"}},
		{"objects", byJSON, own, []params{one("121"), one("122"), one("x")}},
		{"group", byJSON, own, []params{group}},
		{"group of a text", byJSON, own, params{"phones": "121:122:x", "callerId": own}},
		{"list in a query", byQuery, common, []string{"121", "122", "x"}},
		{"group in a form", byForm, own, []params{group}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers := l.phone(t, "121", phone{})
			busy := l.phone(t, "122", phone{Refuse: "486 Busy Here"})
			answer := l.yemot(t, c.way, "CallExtensionBridging", params{"phones": c.phones, "ivrPath": "ivr2:/menu", "callerId": common, "callsTimeOut": 20})
			id := take[string](answer, "campaignId")
			refused := take[map[string]any](answer, "errors")
			if id == "" || len(refused) != 1 || refused["x"] == nil {
				t.Errorf("campaign %q, errors %v", id, refused)
			}
			checkAnswer(t, "CallExtensionBridging", answer, `{"responseStatus": "OK", "module": "CallExtensionBridging", "callerId": "`+common+`",
				"callsCount": 2, "bilingPerCall": 0, "callsTimeout": 20}`)
			var v control.CampaignView
			eventually(t, "the campaign is done", func() bool {
				v = l.campaign(t, id)
				return v.State == desk.CampaignDone
			})
			if v.Results["answered"] != 1 || v.Results["busy"] != 1 {
				t.Errorf("results: %v, %+v", v.Results, v.Numbers)
			}
			for _, p := range []*sipp{answers, busy} {
				if from := p.headers(t, "From"); len(from) != 1 || !strings.Contains(from[0], "<sip:"+c.callerID+"@") {
					t.Errorf("the phone shows %q, want %s", from, c.callerID)
				}
			}
		})
	}
	answer := l.yemot(t, byJSON, "CallExtensionBridging", params{"phones": "121", "ivrPath": "1", "callsTimeOut": 36})
	checkAnswer(t, "CallExtensionBridging", answer, `{"responseStatus": "ERROR", "message": "callsTimeOut must be 1 to 35 seconds"}`)
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
