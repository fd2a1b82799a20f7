package products

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// zohoContacts plays the search for contacts of Zoho CRM, which finds numbers however they were typed.
func zohoContacts(f *fake, r *request) (int, string) {
	q := r.URL.Query()
	if len(q) != 1 || !strings.HasPrefix(q.Get("phone"), "+") {
		return f.wrong(r, "search")
	}
	if q.Get("phone") != known {
		return http.StatusNoContent, ""
	}
	return 200, `{"data": [{"id": "4711", "Full_Name": "Zoë Müller", "Owner": {"id": "9101", "name": "Anna"}, "Account_Name": {"id": "12", "name": "ACME"}}],
		"info": {"per_page": 200, "count": 1, "page": 1, "more_records": false}}`
}

// alnum is what PhoneBridge documents of ids.
var alnum = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// zoho plays Zoho CRM with PhoneBridge.
func zoho(f *fake, r *request) (int, string) {
	if r.Header.Get("Authorization") != "Zoho-oauthtoken "+secret {
		return f.wrong(r, "token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /crm/v8/Contacts/search":
		return zohoContacts(f, r)
	case "POST /phonebridge/v3/callnotify":
		form, err := url.ParseQuery(r.body)
		if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			return f.wrong(r, "no form: %v", err)
		}
		return f.callNotify(r, form)
	}
	return f.wrong(r, "no such request")
}

// callNotify plays one notification. Each state has parameters of its own.
func (f *fake) callNotify(r *request, form url.Values) (int, string) {
	kind, state, id := form.Get("type"), form.Get("state"), form.Get("id")
	required, optional := []string{"type", "state", "id", "from", "to"}, []string{"zohouser"}
	unattended := []string{"busy", "invalid", "blocked", "notavailable", "noanswer", "rejected"}
	out := kind == "dialed"
	over := true
	switch {
	case kind != "received" && !out:
		return f.wrong(r, "type")
	case state == "ended":
		required, optional = append(required, "start_time", "duration"), append(optional, "voiceuri")
	case state == "missed" && !out, out && slices.Contains(unattended, state):
		required, optional = append(required, "start_time"), append(optional, "voiceuri")
	case state == "ringing", state == "answered":
		over = false
	default:
		return f.wrong(r, "state")
	}
	for _, name := range required {
		if form.Get(name) == "" {
			return f.wrong(r, "REQUIRED_PARAM_MISSING %s", name)
		}
	}
	for name := range form {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return f.wrong(r, "%s is no parameter of this state", name)
		}
	}
	customer, own := form.Get("from"), form.Get("to")
	if out {
		customer, own = own, customer
	}
	if !alnum.MatchString(id) || !strings.HasPrefix(customer, "+") || strings.HasPrefix(own, "+") == out {
		return f.wrong(r, "id or numbers")
	}
	if (state == "answered" || state == "ended") && f.ids[id] == "" {
		return f.wrong(r, "the call did not ring before")
	}
	f.ids[id] = state
	if state == "ringing" && !out {
		f.shown = append(f.shown, phoneOf(form.Get("zohouser")))
	}
	if over {
		e := entry{key: id, out: out, number: customer, agent: phoneOf(form.Get("zohouser")), answered: state == "ended", started: clock("2006-01-02 15:04:05", form.Get("start_time"))}
		if e.answered {
			e.seconds = number(form.Get("duration"))
		}
		if customer == known { // Zoho finds the record itself
			e.customer = customerID
		}
		if uri := form.Get("voiceuri"); uri != "" && uri != recorded["recording_url"] {
			return f.wrong(r, "voiceuri")
		}
		f.add(e)
	}
	return 200, `{"status": "success", "code": "SUCCESS"}`
}

// zohoCRM plays Zoho CRM's records.
func zohoCRM(f *fake, r *request) (int, string) {
	if r.Header.Get("Authorization") != "Zoho-oauthtoken "+secret {
		return f.wrong(r, "token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /crm/v8/Contacts/search":
		return zohoContacts(f, r)
	case "POST /crm/v8/Calls":
		var v struct{ Data []json.RawMessage }
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || len(v.Data) != 1 {
			return f.wrong(r, "no list of one record: %v", err)
		}
		return f.zohoCall(r, string(v.Data[0]))
	}
	return f.wrong(r, "no such request")
}

// zohoCall plays the creation of a record of a call.
func (f *fake) zohoCall(r *request, text string) (int, string) {
	v, err := f.object(text, []string{"Subject", "Call_Type", "Call_Start_Time"}, []string{"Call_Duration", "Outgoing_Call_Status", "Who_Id", "Owner", "Voice_Recording__s"})
	kind := str(v["Call_Type"])
	at, timeErr := time.Parse("2006-01-02T15:04:05-07:00", str(v["Call_Start_Time"]))
	reference := func(name string) string {
		record, _ := v[name].(map[string]any)
		id := str(record["id"])
		if v[name] != nil && id == "" {
			f.wrong(r, "%s without an id", name)
		}
		return id
	}
	minutes, seconds, timed := strings.Cut(str(v["Call_Duration"]), ":")
	switch {
	case err != nil || timeErr != nil || !slices.Contains([]string{"Inbound", "Outbound", "Missed"}, kind):
		return f.wrong(r, "call: %v", err)
	case timed != (kind != "Missed") || timed && len(minutes+seconds) != 4:
		return f.wrong(r, "Call_Duration %q of a call of type %s", v["Call_Duration"], kind)
	case (kind == "Outbound") != (v["Outgoing_Call_Status"] == "Completed"):
		return f.wrong(r, "Outgoing_Call_Status")
	}
	_, phone, _ := strings.Cut(str(v["Subject"]), "+")
	e := entry{out: kind == "Outbound", number: "+" + phone, customer: reference("Who_Id"), agent: phoneOf(reference("Owner")), started: at.UTC()}
	if timed {
		e.seconds = 60*number(strings.TrimPrefix(minutes, "0")) + number(strings.TrimPrefix(seconds, "0"))
	}
	e.answered = e.seconds > 0
	f.add(e)
	return 201, `{"data": [{"code": "SUCCESS", "details": {"id": "1"}, "message": "record added", "status": "success"}]}`
}
