package products

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// vtiger plays Vtiger's web services and the callbacks of PBXManager. Both answer 200 to everything.
func vtiger(f *fake, r *request) (int, string) {
	q := r.URL.Query()
	switch r.Method + " " + r.URL.Path {
	case "GET /webservice.php", "POST /webservice.php":
		return 200, f.vtigerService(r, q)
	case "GET /modules/PBXManager/callbacks/PBXManager.php":
		if q.Get("vtigersignature") != secret {
			return 200, `<?xml version="1.0" encoding="utf-8"?><Response><Authentication>Failure</Authentication></Response>`
		}
		return f.vtigerCall(r, q)
	}
	return f.wrong(r, "no such request")
}

// vtigerService plays the web services: a challenge, a login, a session.
func (f *fake) vtigerService(r *request, q url.Values) string {
	const challenge, session = "5c1a2b", "session-77"
	form, _ := url.ParseQuery(r.body)
	proof := md5.Sum([]byte(challenge + secret))
	switch q.Get("operation") + form.Get("operation") {
	case "getchallenge":
		if q.Get("username") != "ringhook" {
			break
		}
		f.ids["challenge"] = challenge
		return `{"success": true, "result": {"token": "` + challenge + `", "serverTime": 1, "expireTime": 301}}`
	case "login":
		if f.ids["challenge"] == "" || form.Get("accessKey") != hex.EncodeToString(proof[:]) || r.Method != http.MethodPost {
			break
		}
		return `{"success": true, "result": {"sessionName": "` + session + `", "userId": "19x5", "version": "0.22", "vtigerVersion": "7.5.0"}}`
	case "lookup":
		if q.Get("sessionName") != session {
			_, ended := vtigerEnded()
			return ended
		}
		value := q.Get("value")
		if q.Get("type") != "phone" || q.Get("searchIn") != `{"Contacts":["phone","mobile"]}` || len(value) != 9 {
			break
		}
		if !strings.HasSuffix(known, value) {
			return `{"success": true, "result": []}`
		}
		return `{"success": true, "result": [{"id": "12x4711", "firstname": "Zoë", "lastname": "Müller", "phone": "+49 (30) 1234-5678", "mobile": "", "assigned_user_id": "19x5"}]}`
	}
	f.wrong(r, "no such operation, or a wrong one")
	return `{"success": false, "error": {"code": "UNKNOWN_OPERATION"}}`
}

// vtigerEnded is the answer to a session that has ended.
func vtigerEnded() (int, string) {
	return 200, `{"success": false, "error": {"code": "INVALID_SESSIONID", "message": "Session Identifier provided is Invalid"}}`
}

// vtigerCall plays a callback.
func (f *fake) vtigerCall(r *request, q url.Values) (int, string) {
	id := q.Get("callUUID")
	names := map[string][]string{
		"StartApp":   {"callerIdNumber", "callerIdName", "channel", "StartTime"},
		"DialAnswer": {"callerid1", "callerid2"},
		"Record":     {"recordinglink"},
		"EndCall":    {"starttime", "endtime", "duration", "billableseconds"},
		"Hangup":     {"causetxt", "EndTime", "Duration"},
	}[q.Get("callstatus")]
	for _, name := range append(names, "callUUID") {
		if q.Get(name) == "" {
			return f.wrong(r, "%s is missing", name)
		}
	}
	if names == nil || len(q) != len(names)+3 {
		return f.wrong(r, "callstatus or parameters")
	}
	ofCall := func(e entry) bool { return f.ids[id] == fmt.Sprint(e.started.UnixNano(), e.number) }
	i := slices.IndexFunc(f.entries, ofCall)
	if q.Get("callstatus") == "StartApp" {
		return f.vtigerStart(r, q)
	}
	if i < 0 {
		return f.wrong(r, "no call of this id")
	}
	e := &f.entries[i]
	switch q.Get("callstatus") {
	case "DialAnswer":
		// A number of no user would leave the call without one.
		if phone := q.Get(map[bool]string{true: "callerid1", false: "callerid2"}[e.out]); extension(phone) {
			e.agent = phone
		} else {
			return f.wrong(r, "%s is no extension", phone)
		}
	case "Record":
		if q.Get("recordinglink") != recorded["recording_url"] {
			return f.wrong(r, "recording")
		}
	case "EndCall":
		if start, end := clock(vtigerLayout, q.Get("starttime")), clock(vtigerLayout, q.Get("endtime")); start != e.started.Truncate(time.Second) || end.Before(start) || number(q.Get("billableseconds")) < 0 {
			return f.wrong(r, "times")
		}
	case "Hangup":
		status := map[string]string{"Normal Clearing": "completed", "User busy": "busy", "no-answer": "no-answer"}[q.Get("causetxt")]
		if status == "" || clock(vtigerLayout, q.Get("EndTime")).IsZero() || number(q.Get("Duration")) < 0 {
			return f.wrong(r, "cause, end or duration")
		}
		// An answer that was lost made a second entry; Vtiger changes both.
		for n := range f.entries {
			if ofCall(f.entries[n]) {
				f.entries[n].answered, f.entries[n].agent = status == "completed", e.agent
			}
		}
	}
	return 200, ""
}

// extension reports whether a number is that of a user.
func extension(text string) bool { return len(text) == 3 && strings.Trim(text, "0123456789") == "" }

// vtigerLayout is how PBXManager takes times.
const vtigerLayout = "2006-01-02 15:04:05"

// vtigerStart plays the beginning of a call. Vtiger guesses the direction.
func (f *fake) vtigerStart(r *request, q url.Values) (int, string) {
	channel, _, _ := strings.Cut(strings.TrimPrefix(q.Get("channel"), "SIP/"), "-")
	e := entry{number: q.Get("callerIdNumber"), started: clock(vtigerLayout, q.Get("StartTime"))}
	if e.out = extension(e.number); e.out {
		if channel != e.number {
			return f.wrong(r, "the customer of an outgoing call")
		}
		e.agent, e.number = e.number, q.Get("callerIdName")
	} else if extension(channel) {
		return f.wrong(r, "the channel makes this an outgoing call")
	}
	if e.number == known {
		e.customer = customerID
	}
	f.ids[q.Get("callUUID")] = fmt.Sprint(e.started.UnixNano(), e.number)
	f.entries = append(f.entries, e)
	return 200, `<?xml version="1.0" encoding="utf-8"?><Response><Dial><Authentication>Success</Authentication></Dial></Response>`
}

// vtigerLogin reports whether a request is one of a login.
func vtigerLogin(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/webservice.php") && (r.Method == http.MethodPost || r.URL.Query().Get("operation") == "getchallenge")
}
