package apitest

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// hostile values, each of which would be more than a value to something on its way.
var hostile = []string{
	"x\r\nAction: Command\r\nCommand: core stop now\r\n\r\n", "x\nAction: Originate\nApplication: System\n\n", "x\rAction: Ping\r\r", "500\x00", "\x00", "",
	strings.Repeat("A", 2000), strings.Repeat("Ж", 1000), "a&b", "PJSIP/101&PJSIP/102", "a,b", "7000,1)", "a|b", "$(id)", "${SHELL(id)}", "$[1+1]", "`id`", ";id", "a;b",
	"/.*/", "/^PJSIP/", "Local/1@x/n", "../../etc/passwd", "%0d%0aAction: Ping", `x\r\nAction: Ping`, "Zoë 漢字 обед", "\u2028Action: Ping", "\u0085", "\xff\xfe", "\u202e", "a\tb", "<script>", `"quoted"`, "'", " 500", "500 ",
	"general", "x]\n[general", "yes\nallow=all", `inherit="x"`,
}

// sentActions are the fields that each action may have, with the values that may be in them. The number at the end of a
// field of UpdateConfig is left out.
var sentActions = map[string]map[string]*regexp.Regexp{
	"QueueAdd":    {"Queue": queueSent, "Interface": memberSent, "Penalty": numberSent, "Paused": regexp.MustCompile(`^false$`), "MemberName": regexp.MustCompile(`^10[12]$`), "StateInterface": memberSent},
	"QueueRemove": {"Queue": queueSent, "Interface": memberSent},
	"QueuePause":  {"Queue": queueSent, "Interface": memberSent, "Paused": regexp.MustCompile(`^(true|false)$`), "Reason": regexp.MustCompile(`^[^\pC,;|&$"'\\<>()\x{2028}\x{2029}]{1,80}$`)},
	"Redirect": {"Channel": channelSent, "Context": contextSent, "Exten": extensionSent, "Priority": oneSent,
		"ExtraChannel": channelSent, "ExtraContext": contextSent, "ExtraExten": regexp.MustCompile(`^[a-z]+$`), "ExtraPriority": oneSent},
	"BlindTransfer": {"Channel": channelSent, "Context": contextSent, "Exten": dialledSent},
	"Originate": {"Channel": regexp.MustCompile(`^(PJSIP/10[12]|Local/\+?[0-9*#]{1,32}@ringhook-campaign/n)$`), "Context": contextSent, "Exten": extensionSent, "Priority": oneSent,
		"Timeout": regexp.MustCompile(`^\d{4,6}$`), "Async": regexp.MustCompile(`^true$`), "ChannelId": regexp.MustCompile(`^[0-9a-f]{32}$`), "CallerID": regexp.MustCompile(`^"" <\+?[0-9*#]{1,32}>$`)},
	"Hangup":      {"Channel": channelSent, "Cause": numberSent},
	"PJSIPNotify": {"Channel": channelSent, "Variable": regexp.MustCompile(`^Event=(hold|talk)$`)},
	"Setvar":      {"Channel": channelSent, "Variable": regexp.MustCompile(`^(MUTEAUDIO\(in\)|RINGHOOK_[A-Z_]+|SHARED\(RINGHOOK_[A-Z_]+\))$`), "Value": regexp.MustCompile(`^(on|off|PJSIP/(trunk-\d|101-[89])|[A-Za-z0-9_.*#+-]{0,79})$`)},
	"PlayDTMF":    {"Channel": channelSent, "Digit": regexp.MustCompile(`^[0-9*#A-D]$`)},
	"Getvar": {"Channel": channelSent, "Variable": regexp.MustCompile(`^(SYSTEMNAME|ENTITYID|CHANNEL\(context\)|CALLERID\(num-pres\)|DEVICE_STATE\(PJSIP/[A-Za-z0-9_]{2,32}\)|RINGHOOK_[A-Z_]+|SHARED\(RINGHOOK_[A-Z_]+\)|` +
		`DIALPLAN_EXISTS\((from-trunk|accounts|ringhook-[a-z-]+),[A-Za-z0-9_.*#+-]{1,79},1\)|PJSIP_AOR\(10[12],contact\)|PJSIP_CONTACT\(1,(uri|user_agent|via_addr|expiration_time|status|rtt)\))$`)},
	"QueueChangePriorityCaller": {"Queue": queueSent, "Caller": regexp.MustCompile(`^PJSIP/trunk-[12]$`), "Priority": regexp.MustCompile(`^-?\d{1,7}$`), "Immediate": regexp.MustCompile(`^yes$`)},
	"UpdateConfig": {"SrcFilename": wizardSent, "DstFilename": wizardSent, "Reload": regexp.MustCompile(`^res_pjsip\.so$`),
		"Action": regexp.MustCompile(`^(NewCat|DelCat|Append|Update|Delete)$`), "Cat": accountSent, "Options": regexp.MustCompile(`^inherit="phone"$`),
		"Var":   regexp.MustCompile(`^(transport|endpoint/(webrtc|callerid)|has_hint|hint_(context|exten)|ringhook_revision|inbound_auth/(auth_type|username|realm|md5_cred))$`),
		"Value": regexp.MustCompile(`^(<\+?[0-9]{1,20}>|[A-Za-z0-9_]{1,32})$`)},
	"GetConfig":   {"Filename": wizardSent, "Category": accountSent},
	"QueueStatus": {}, "CoreShowChannels": {}, "ParkedCalls": {}, "DeviceStateList": {}, "Ping": {},
}

var (
	queueSent     = regexp.MustCompile(`^[56]00$`)
	memberSent    = regexp.MustCompile(`^PJSIP/10[12]$`)
	channelSent   = regexp.MustCompile(`^[123]\.[1234]$`)
	numberSent    = regexp.MustCompile(`^\d{1,4}$`)
	contextSent   = regexp.MustCompile(`^(from-trunk|ringhook-[a-z-]+)$`)
	oneSent       = regexp.MustCompile(`^1$`)
	extensionSent = regexp.MustCompile(`^[A-Za-z0-9_.*#+-]{1,79}$`)
	dialledSent   = regexp.MustCompile(`^\+?[0-9*#]{1,32}$`)
	wizardSent    = regexp.MustCompile(`^pjsip_wizard\.conf$`)
	accountSent   = regexp.MustCompile(`^[A-Za-z0-9_]{2,32}$`)
)

// background are the actions that are sent whatever is asked: they only read.
var background = []string{"Ping", "QueueStatus", "CoreShowChannels", "ParkedCalls", "DeviceStateList", "Getvar"}

// good are values with which a command is carried out, unless its row has others.
var good = map[string]any{
	"id": "7", "linkedid": "1.3", "queue": "500", "call": "1.2", "phone": "101", "server": "pbx", "transfer": "2.2-abcd1234", "campaign": "c1", "account": "201",
	"queues": []string{"500"}, "penalty": 1, "reason": "lunch", "until": time.Now().Add(time.Hour).Format(time.RFC3339), "side": "other", "uniqueid": "1.3", "digits": "1",
	"calls": []string{"1.1"}, "to": "7000", "priority": 5, "kind": "blind", "number": "+4930123456", "request_id": "r1", "caller_id": "+4930999",
	"numbers": []string{"+4930123456"}, "timeout": 5, "parallel": 1, "pop": "p-1", "session": "1", "login": "7", "password": "x", "code": "x", "stream": "s", "fate": "shown", "note": "n", "url": "https://crm.example/",
	"extension": "4201", "transport": "udp", "since": "2h", "limit": "5", "agent": "7",
}

// intent is what a request of a route is to cause.
type intent struct {
	route string
	with  map[string]any // in place of the good values
	as    string         // the token, if it is not the administrator's, or for /v1/me the agent's
	must  string         // the action that the good request causes; empty for none
	may   string         // another one
	any   bool           // the good request may be refused: what it names is not there
}

type values = map[string]any

// intents are those of all routes. A route without one fails Inject.
var intents = slices.Concat(agentIntents("/v1/me"), agentIntents("/v1/agents/{id}"), []intent{
	{route: "GET /v1/openapi.json"}, {route: "POST /v1/lookup"}, {route: "POST /v1/cache/forget"}, {route: "GET /v1/outbox"}, {route: "POST /v1/outbox/retry"}, {route: "POST /v1/outbox/drop"},
	{route: "POST /v1/outbox/replay"}, {route: "GET /v1/outbox/{id}"}, {route: "GET /v1/hooks"}, {route: "POST /v1/hooks/enable"},
	{route: "GET /v1/commands"}, {route: "GET /v1/agents"}, {route: "GET /v1/queues"}, {route: "GET /v1/queues/{queue}"}, {route: "GET /v1/calls"}, {route: "GET /v1/calls/{linkedid}"},
	{route: "GET /v1/phones"}, {route: "GET /v1/phones/{phone}"},
	{route: "POST /v1/queues/{queue}/kick", must: "Redirect", may: "Hangup"}, {route: "POST /v1/queues/{queue}/kick", with: values{"to": nil}, must: "Hangup", may: "Redirect"},
	{route: "PUT /v1/queues/{queue}/calls/{call}/priority", must: "QueueChangePriorityCaller"},
	{route: "POST /v1/calls/{linkedid}/hangup", must: "Hangup"}, {route: "POST /v1/calls/{linkedid}/mute", must: "Setvar"},
	{route: "POST /v1/calls/{linkedid}/unmute", must: "Setvar"}, {route: "POST /v1/calls/{linkedid}/dtmf", must: "PlayDTMF"},
	{route: "POST /v1/campaigns", with: values{"to": "menu"}, must: "Originate"}, {route: "GET /v1/campaigns"}, {route: "GET /v1/campaigns/{campaign}"}, {route: "DELETE /v1/campaigns/{campaign}"},
	{route: "POST /v1/accounts", must: "UpdateConfig"}, {route: "GET /v1/accounts"},
	{route: "PATCH /v1/accounts/{account}", with: values{"extension": "4202", "transport": "wss"}, must: "UpdateConfig", may: "GetConfig"},
	{route: "DELETE /v1/accounts/{account}", must: "UpdateConfig"},

	// Routes of the desk.
	{route: "POST /v1/session", any: true}, {route: "POST /v1/invitation", any: true}, {route: "DELETE /v1/session"}, {route: "POST /v1/me/focus", as: "agent", any: true},
	{route: "POST /v1/me/pops/{pop}/receipt", as: "agent", any: true}, {route: "GET /v1/me/sessions", as: "agent"}, {route: "DELETE /v1/me/sessions", as: "agent"},
	{route: "DELETE /v1/me/sessions/{session}", as: "agent", any: true}, {route: "PUT /v1/me/calls/{linkedid}/note", as: "agent", any: true}, {route: "GET /v1/me/settings", as: "agent"},
	{route: "PATCH /v1/me/settings", as: "agent"}, {route: "GET /v1/me/exceptions", as: "agent"}, {route: "PUT /v1/me/exceptions/{number}", as: "agent"},
	{route: "DELETE /v1/me/exceptions/{number}", as: "agent"}, {route: "GET /v1/exceptions", any: true}, {route: "PUT /v1/exceptions/{number}", any: true},
	{route: "DELETE /v1/exceptions/{number}", any: true}, {route: "GET /v1/pops/{pop}", as: "agent", any: true},
})

func agentIntents(base string) []intent {
	list := []intent{
		{route: "GET "}, {route: "GET /times"}, {route: "POST /pop", any: true}, {route: "POST /login", with: values{"phone": nil}, must: "QueueAdd"}, {route: "PUT /pause", must: "QueuePause"}, {route: "DELETE /pause", must: "QueuePause"},
		{route: "POST /logout", must: "QueueRemove"}, {route: "POST /calls/{linkedid}/mute", must: "Setvar"}, {route: "POST /calls/{linkedid}/unmute", must: "Setvar"},
		{route: "POST /calls/{linkedid}/dtmf", must: "PlayDTMF"}, {route: "POST /calls", must: "Originate"},
		{route: "POST /calls/{linkedid}/answer", with: values{"id": "8", "linkedid": "3.1"}, as: "agent 8", must: "PJSIPNotify"},
		{route: "POST /calls/{linkedid}/hold", must: "Redirect", may: "Setvar"}, {route: "POST /calls/{linkedid}/resume", with: values{"linkedid": "2.1"}, must: "Redirect"},
		{route: "POST /calls/{linkedid}/transfer", must: "BlindTransfer"}, {route: "POST /calls/{linkedid}/transfer", with: values{"kind": "attended"}, must: "Redirect", may: "Setvar BlindTransfer"},
		{route: "POST /transfers/{transfer}/complete", must: "Hangup"}, {route: "DELETE /transfers/{transfer}", must: "Redirect", may: "Setvar"},
		{route: "POST /calls/{linkedid}/hangup", must: "Hangup"},
	}
	for i := range list {
		method, path, _ := strings.Cut(list[i].route, " ")
		list[i].route = method + " " + base + path
		switch {
		case base == "/v1/me" && list[i].as == "":
			list[i].as = "agent"
		case base != "/v1/me":
			list[i].as = ""
		}
	}
	return list
}

// yemotIntents are those of the commands of the Yemot dialect, in an order in which all can be carried out. A command
// without one fails InjectYemot.
var yemotIntents = []intent{
	{route: "getqueuerealtime", with: values{"queuePath": "ivr2:/500"}},
	{route: "queuemanagement", with: values{"queuePath": "/500", "action": "kick", "callIds": []string{"1.1"}, "moreData": "GOTO:/7000"}, must: "Redirect", may: "Hangup"},
	{route: "queuemanagement", with: values{"queuePath": "/500", "action": "pause", "agent": "101"}, must: "QueuePause"},
	{route: "queuemanagement", with: values{"queuePath": "/500", "action": "unpause", "agent": "101"}, must: "QueuePause"},
	{route: "sipgetcontexts", with: values{"accountNumber": "101"}},
	{route: "getsipaccountsregisteredstatus"},
	{route: "setsecondarydidusagedescription", with: values{"secondaryDidId": "0771234567", "newUsage": "sip:101"}},
	{route: "createsipaccount", with: values{"extNumber": "4300"}, must: "UpdateConfig"},
	{route: "getsipaccountsincustomer"},
	{route: "sipextensionmanagement", with: values{"action": "Set", "accountNumber": "4300", "extNumber": "4301"}, must: "UpdateConfig", may: "GetConfig"},
	{route: "editcalleridinsipaccount", with: values{"accountNumber": "4300", "callerId": "0771234567"}, must: "UpdateConfig", may: "GetConfig"},
	{route: "siptowss", with: values{"accountNumber": "4300"}, must: "UpdateConfig", may: "GetConfig"},
	{route: "siptoudp", with: values{"accountNumber": "4300"}, must: "UpdateConfig", may: "GetConfig"},
	{route: "deletesipaccount", with: values{"accountNumber": []string{"4300"}}, must: "UpdateConfig"},
	{route: "callextensionbridging", with: values{"phones": "0501234567:0501234568", "ivrPath": "ivr2:/menu", "callerId": "0771234567", "callsTimeOut": 20}, must: "Originate"},
}
