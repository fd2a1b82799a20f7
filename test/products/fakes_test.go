package products

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var all = []*product{
	{name: "bitrix24", serve: bitrix24, keyed: true, screens: true},
	{name: "bitrix24-app", unlinked: true, serve: bitrix24App, ids: "bitrix24", keyed: true, screens: true, uploads: true, rotates: true},
	{name: "kommo", serve: kommo, lacks: []string{"customer"}, screens: true},
	{name: "hubspot", serve: hubspot},
	{name: "salesforce", serve: salesforce, keyed: true, lacks: []string{"day"}},
	{name: "odoo", serve: odoo, needsCustomer: true, lacks: []string{"agent", "started"}},
	{name: "odoo-jsonrpc", serve: odooJSONRPC, needsCustomer: true, lacks: []string{"agent", "started"}},
	{name: "pipedrive", serve: pipedrive, uploads: true},
	{name: "suitecrm", serve: suitecrm, keyed: true, lacks: []string{"minutes"}},
	{name: "espocrm", serve: espocrm, lacks: []string{"seconds"}}, // it shows begin and end
	{name: "freshdesk", unlinked: true, serve: freshdesk, only: func(c *call) bool { return !c.out && c.agent == "" }, lacks: []string{"customer", "started"}},
	{name: "zendesk", unlinked: true, serve: zendesk, lacks: []string{"customer", "seconds"}, screens: true, knownScreens: true},
	{name: "retailcrm", serve: retailcrm, keyed: true, lacks: []string{"customer"}, screens: true},
	{name: "dynamics365", serve: dynamics365, keyed: true, needsCustomer: true, lacks: []string{"minutes", "agent"}},
	{name: "zoho", serve: zoho, keyed: true, screens: true},
	{name: "zoho-crm", serve: zohoCRM},
	{name: "vtiger", serve: vtiger, login: vtigerLogin, sessionEnded: vtigerEnded, firstAgent: true, lacks: []string{"seconds"}},
	{name: "glpi", serve: glpi, login: glpiLogin, only: func(c *call) bool { return !c.out }},
	{name: "chatwoot", serve: chatwoot},
	{name: "dolibarr", serve: dolibarr},
	{name: "1c", serve: service1C, keyed: true},
	{name: "zammad", unlinked: true, serve: zammad, keyed: true, firstAgent: true, lacks: []string{"seconds", "started"}, screens: true, answererScreens: true},
}

// bearer checks the token of a request.
func (f *fake) bearer(r *request) bool { return r.Header.Get("Authorization") == "Bearer "+secret }

// kommo plays Kommo.
func kommo(f *fake, r *request) (int, string) {
	if !f.bearer(r) {
		return f.wrong(r, "token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v4/contacts":
		switch q := r.URL.Query().Get("query"); {
		case len(q) < 5:
			return f.wrong(r, "query %q", q)
		case !strings.HasSuffix(known, q):
			return 204, ""
		}
		return 200, `{"_page": 1, "_embedded": {"contacts": [{"id": 4711, "name": "Zoë Müller", "responsible_user_id": 9101,
			"custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+49 30 12345678"}]}], "_embedded": {"companies": [{"id": 3}]}}]}}`
	case "POST /api/v4/calls":
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list) != 1 {
			return f.wrong(r, "no list of one call: %v", err)
		}
		v, err := f.object(string(list[0]), []string{"direction", "duration", "source", "phone"}, []string{"uniq", "link", "call_result", "call_status", "call_responsible", "created_at"})
		status := number(v["call_status"])
		if err != nil || !slices.Contains([]any{"inbound", "outbound"}, v["direction"]) || status < 1 || status > 8 || number(v["duration"]) < 0 {
			return f.wrong(r, "call: %v", err)
		}
		if v["phone"] == unknown { // a call of an unknown number is not stored, and that is no error
			f.add(entry{number: unknown, agent: phoneOf(str(v["call_responsible"])), answered: status == 4, seconds: number(v["duration"]), started: time.Unix(int64(number(v["created_at"])), 0).UTC()})
			return 200, `{"_total_items": 0, "errors": [], "_embedded": {"calls": []}}`
		}
		f.add(entry{out: v["direction"] == "outbound", number: str(v["phone"]), agent: phoneOf(str(v["call_responsible"])), answered: status == 4,
			seconds: number(v["duration"]), started: time.Unix(int64(number(v["created_at"])), 0).UTC()})
		return 200, `{"_total_items": 1, "errors": [], "_embedded": {"calls": [{"id": 1, "entity_id": 4711, "entity_type": "contact"}]}}`
	case "POST /api/v2/events":
		var v struct {
			Add []struct {
				Type        string `json:"type"`
				PhoneNumber string `json:"phone_number"`
				Users       []int  `json:"users"`
			} `json:"add"`
		}
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || len(v.Add) != 1 || v.Add[0].Type != "phone_call" || v.Add[0].PhoneNumber == "" || len(v.Add[0].Users) != 1 {
			return f.wrong(r, "event: %v", err)
		}
		f.shown = append(f.shown, phoneOf(fmt.Sprint(v.Add[0].Users[0])))
		return 200, `{"_embedded": {"items": []}}`
	}
	return f.wrong(r, "no such request")
}

// hubspot plays HubSpot.
func hubspot(f *fake, r *request) (int, string) {
	if !f.bearer(r) || r.Method != http.MethodPost {
		return f.wrong(r, "token")
	}
	switch r.URL.Path {
	case "/crm/v3/objects/contacts/search":
		v, err := f.object(r.body, []string{"filterGroups"}, []string{"properties", "limit"})
		groups, _ := v["filterGroups"].([]any)
		if err != nil || len(groups) == 0 || len(groups) > 6 {
			return f.wrong(r, "search: %v", err)
		}
		if strings.Contains(r.body, "+49 30 12345678") && strings.Contains(r.body, known) {
			return 200, `{"total": 1, "results": [{"id": "4711", "properties": {"firstname": "Zoë", "lastname": "Müller", "hubspot_owner_id": "9101"}}]}`
		}
		return 200, `{"total": 0, "results": []}`
	case "/crm/v3/objects/calls":
		v, err := f.object(r.body, []string{"properties"}, []string{"associations"})
		props, _ := v["properties"].(map[string]any)
		e := entry{out: props["hs_call_direction"] == "OUTBOUND", agent: phoneOf(str(props["hubspot_owner_id"])), answered: props["hs_call_status"] == "COMPLETED",
			number: str(props["hs_call_from_number"]), seconds: number(props["hs_call_duration"]) / 1000, started: clock("2006-01-02T15:04:05.000Z", str(props["hs_timestamp"]))}
		if e.out {
			e.number = str(props["hs_call_to_number"])
		}
		statuses := []any{"BUSY", "CANCELED", "COMPLETED", "FAILED", "MISSED", "NO_ANSWER"}
		for name, value := range props {
			if _, text := value.(string); !text || !strings.HasPrefix(name, "hs_") && name != "hubspot_owner_id" {
				return f.wrong(r, "property %s is no text", name)
			}
		}
		if err != nil || e.started.IsZero() || !slices.Contains(statuses, props["hs_call_status"]) || number(props["hs_call_duration"])%1000 != 0 {
			return f.wrong(r, "call: %v", err)
		}
		if v["associations"] != nil {
			var with []struct {
				To    struct{ ID string }
				Types []struct {
					AssociationCategory string
					AssociationTypeID   int
				}
			}
			text, _ := json.Marshal(v["associations"])
			if err := json.Unmarshal(text, &with); err != nil || len(with) != 1 || with[0].To.ID != customerID || with[0].Types[0].AssociationTypeID != 194 || with[0].Types[0].AssociationCategory != "HUBSPOT_DEFINED" {
				return f.wrong(r, "associations: %v", err)
			}
			e.customer = customerID
		}
		f.add(e)
		return 201, `{"id": "1", "properties": {}}`
	}
	return f.wrong(r, "no such request")
}

// salesforce plays Salesforce.
func salesforce(f *fake, r *request) (int, string) {
	if !f.bearer(r) {
		return f.wrong(r, "token")
	}
	base := "/services/data/v62.0/"
	switch key, task := strings.CutPrefix(r.URL.Path, base+"sobjects/Task/ringhook_id__c/"); {
	case r.Method == http.MethodGet && r.URL.Path == base+"parameterizedSearch":
		q := r.URL.Query()
		if len(q.Get("q")) < 2 || q.Get("in") != "PHONE" || !slices.Equal(q["sobject"], []string{"Contact", "Lead"}) {
			return f.wrong(r, "search")
		}
		if !strings.HasSuffix(known, q.Get("q")) {
			return 200, `{"searchRecords": []}`
		}
		return 200, `{"searchRecords": [{"attributes": {"type": "Contact", "url": "/services/data/v62.0/sobjects/Contact/4711"}, "Id": "4711", "Name": "Zoë Müller", "OwnerId": "9101"}]}`
	case r.Method == http.MethodPatch && task && key != "":
		v, err := f.object(r.body, []string{"Subject", "Status", "TaskSubtype", "CallType", "ActivityDate"}, []string{"Priority", "CallDurationInSeconds", "CallObject", "CallDisposition", "WhoId", "OwnerId", "Description"})
		at := clock("2006-01-02", str(v["ActivityDate"]))
		if err != nil || at.IsZero() || !slices.Contains([]any{"Inbound", "Outbound"}, v["CallType"]) || v["Status"] != "Completed" || v["WhoId"] != nil && v["WhoId"] != customerID {
			return f.wrong(r, "task: %v", err)
		}
		_, num, _ := strings.Cut(str(v["Subject"]), "+")
		e := entry{key: key, out: v["CallType"] == "Outbound", number: "+" + num, customer: str(v["WhoId"]), agent: phoneOf(str(v["OwnerId"])), answered: v["CallDisposition"] == "answer", started: at}
		if v["CallDurationInSeconds"] != nil {
			e.seconds = number(v["CallDurationInSeconds"])
		}
		f.add(e)
		return 201, `{"id": "00T1", "success": true, "errors": [], "created": true}`
	}
	return f.wrong(r, "no such request")
}

// odoo plays Odoo 19.
func odoo(f *fake, r *request) (int, string) {
	if !f.bearer(r) || r.Method != http.MethodPost {
		return f.wrong(r, "token")
	}
	switch r.URL.Path {
	case "/json/2/res.partner/search_read":
		v, err := f.object(r.body, []string{"domain", "fields"}, []string{"limit", "order"})
		if err != nil || !strings.Contains(r.body, `"phone_mobile_search"`) {
			return f.wrong(r, "search: %v %v", v, err)
		}
		if !strings.Contains(r.body, `"`+known+`"`) {
			return 200, `[]`
		}
		return 200, `[{"id": 4711, "display_name": "Zoë Müller", "user_id": [9101, "Anna"], "is_company": false}, {"id": 12, "display_name": "ACME", "user_id": false, "is_company": true}]`
	case "/json/2/res.partner/message_post":
		v, err := f.object(r.body, []string{"ids", "body"}, nil)
		ids, _ := v["ids"].([]any)
		if err != nil || len(ids) != 1 {
			return f.wrong(r, "note: %v", err)
		}
		return f.odooNote(r, str(ids[0]), str(v["body"]), `17`)
	}
	return f.wrong(r, "no such request")
}

// odooNote plays a note at a contact.
func (f *fake) odooNote(r *request, contact, text, answer string) (int, string) {
	if contact != customerID || strings.Contains(text, "<") {
		return f.wrong(r, "note")
	}
	e := entry{out: strings.HasPrefix(text, "Call to"), number: known, customer: customerID, answered: strings.Contains(text, ", answered,")}
	if !strings.Contains(text, known) || strings.Contains(text, "no agent") == e.answered {
		return f.wrong(r, "note %q", text)
	}
	_, rest, _ := strings.Cut(text, "answered, ")
	fmt.Sscanf(rest, "%d s", &e.seconds)
	f.add(e)
	return 200, answer
}

// pipedrive plays Pipedrive.
func pipedrive(f *fake, r *request) (int, string) {
	if r.Header.Get("x-api-token") != secret {
		return f.wrong(r, "token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v2/persons/search":
		q := r.URL.Query()
		if len(q.Get("term")) < 2 || q.Get("fields") != "phone" {
			return f.wrong(r, "search")
		}
		if !strings.HasSuffix(known, q.Get("term")) {
			return 200, `{"success": true, "data": {"items": []}}`
		}
		return 200, `{"success": true, "data": {"items": [{"result_score": 1, "item": {"id": 4711, "type": "person", "name": "Zoë Müller", "phones": ["+493012345678"], "owner": {"id": 9101}, "organization": null}}]}}`
	case "POST /v1/callLogs":
		v, err := f.object(r.body, []string{"outcome", "to_phone_number", "start_time", "end_time"}, []string{"from_phone_number", "duration", "person_id", "user_id", "subject", "note"})
		outcomes := []any{"connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy"}
		at, end := clock("2006-01-02 15:04:05", str(v["start_time"])), clock("2006-01-02 15:04:05", str(v["end_time"]))
		if _, text := v["duration"].(string); err != nil || !text || !slices.Contains(outcomes, v["outcome"]) || at.IsZero() || end.Before(at) {
			return f.wrong(r, "call log: %v", err)
		}
		e := entry{out: strings.HasPrefix(str(v["subject"]), "Call to"), customer: str(v["person_id"]), agent: phoneOf(str(v["user_id"])), answered: v["outcome"] == "connected",
			number: str(v["from_phone_number"]), seconds: number(v["duration"]), started: at}
		if e.out {
			e.number = str(v["to_phone_number"])
		}
		f.add(e)
		id := fmt.Sprintf("log-%d", len(f.entries))
		f.ids[id] = id
		return 201, fmt.Sprintf(`{"success": true, "data": {"id": %q}}`, id)
	}
	id, upload := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/callLogs/"), "/recordings")
	if upload && r.Method == http.MethodPost {
		if f.ids[id] == "" {
			return f.wrong(r, "no call log of that id")
		}
		if problem := f.upload(r, "file"); problem != "" {
			return f.wrong(r, "%s", problem)
		}
		return 200, `{"success": true}`
	}
	return f.wrong(r, "no such request")
}

// suitecrm plays SuiteCRM 8.
func suitecrm(f *fake, r *request) (int, string) {
	if !f.bearer(r) {
		return f.wrong(r, "token")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /legacy/Api/V8/module/Contacts":
		q := r.URL.Query()
		if q.Get("fields[Contacts]") == "" || q.Get("page[size]") == "" || q.Get("filter[phone_mobile][eq]") == "" {
			return f.wrong(r, "search")
		}
		if q.Get("filter[phone_mobile][eq]") != "030 12345678" { // as it was typed
			return 200, `{"meta": {"total-pages": 0}, "data": []}`
		}
		return 200, `{"data": [{"type": "Contact", "id": "4711", "attributes": {"first_name": "Zoë", "last_name": "Müller", "assigned_user_id": "9101"}}]}`
	case "POST /legacy/Api/V8/module":
		if r.Header.Get("Content-Type") != "application/vnd.api+json" {
			return f.wrong(r, "content type")
		}
		var v struct {
			Data struct {
				Type, ID   string
				Attributes map[string]string
			}
		}
		err := json.Unmarshal([]byte(r.body), &v)
		a := v.Data.Attributes
		at := clock("2006-01-02 15:04:05", a["date_start"])
		if err != nil || v.Data.Type != "Calls" || len(v.Data.ID) != 36 || at.IsZero() || a["name"] == "" || !slices.Contains([]string{"Held", "Not Held"}, a["status"]) || !slices.Contains([]string{"Inbound", "Outbound"}, a["direction"]) {
			return f.wrong(r, "call: %v", err)
		}
		if slices.ContainsFunc(f.entries, func(e entry) bool { return e.key == v.Data.ID }) {
			return 400, `{"errors": {"status": 400, "title": null, "detail": "Bean Calls with id x is already exist"}}`
		}
		_, num, _ := strings.Cut(a["name"], "+")
		f.add(entry{key: v.Data.ID, out: a["direction"] == "Outbound", number: "+" + num, customer: a["parent_id"], agent: phoneOf(a["assigned_user_id"]), answered: a["status"] == "Held",
			seconds: 60 * number(a["duration_minutes"]), started: at})
		return 201, `{"data": {"type": "Calls", "id": "x"}}`
	}
	return f.wrong(r, "no such request")
}

// espocrm plays EspoCRM.
func espocrm(f *fake, r *request) (int, string) {
	if r.Header.Get("X-Api-Key") != secret {
		return f.wrong(r, "key")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v1/Contact":
		q := r.URL.Query()
		if q.Get("whereGroup[0][type]") != "equals" || q.Get("whereGroup[0][attribute]") != "phoneNumber" {
			return f.wrong(r, "search")
		}
		if q.Get("whereGroup[0][value]") != known {
			return 200, `{"total": -1, "list": []}`
		}
		return 200, `{"total": -1, "list": [{"id": "4711", "name": "Zoë Müller", "assignedUserId": "9101"}]}`
	case "POST /api/v1/Call":
		v, err := f.object(r.body, []string{"name", "status", "direction", "dateStart", "dateEnd"}, []string{"parentType", "parentId", "assignedUserId", "description"})
		at, end := clock("2006-01-02 15:04:05", str(v["dateStart"])), clock("2006-01-02 15:04:05", str(v["dateEnd"]))
		if err != nil || at.IsZero() || end.Before(at) || !slices.Contains([]any{"Held", "Not Held"}, v["status"]) || !slices.Contains([]any{"Inbound", "Outbound"}, v["direction"]) || (v["parentType"] == nil) != (v["parentId"] == nil) {
			return f.wrong(r, "call: %v", err)
		}
		_, num, _ := strings.Cut(str(v["name"]), "+")
		e := entry{out: v["direction"] == "Outbound", number: "+" + num, customer: str(v["parentId"]), agent: phoneOf(str(v["assignedUserId"])), answered: v["status"] == "Held", started: at}
		e.seconds = int(end.Sub(at).Seconds())
		f.add(e)
		return 200, `{"id": "x"}`
	}
	return f.wrong(r, "no such request")
}

// freshdesk plays Freshdesk.
func freshdesk(f *fake, r *request) (int, string) {
	if user, password, _ := r.BasicAuth(); user != secret || password != "X" {
		return f.wrong(r, "key")
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v2/contacts":
		q := r.URL.Query()
		if len(q) != 1 || q.Get("phone")+q.Get("mobile") == "" {
			return f.wrong(r, "search")
		}
		if q.Get("mobile") != known {
			return 200, `[]`
		}
		return 200, `[{"id": 4711, "name": "Zoë Müller", "company_id": 3, "mobile": "+493012345678"}]`
	case "POST /api/v2/tickets":
		v, err := f.object(r.body, []string{"phone", "name", "subject", "description", "status", "priority", "source"}, nil)
		if err != nil || number(v["status"]) != 2 || number(v["priority"]) != 1 || number(v["source"]) != 3 {
			return f.wrong(r, "ticket: %v", err)
		}
		f.add(entry{number: str(v["phone"])})
		return 201, `{"id": 5}`
	}
	return f.wrong(r, "no such request")
}

// zendesk plays Zendesk with Talk Partner Edition.
func zendesk(f *fake, r *request) (int, string) {
	if user, password, _ := r.BasicAuth(); user != "ringhook@acme.example/token" || password != secret {
		return f.wrong(r, "token")
	}
	parts := strings.Split(strings.TrimSuffix(r.URL.Path, ".json"), "/")
	switch path := r.Method + " " + strings.TrimSuffix(r.URL.Path, ".json"); {
	case path == "GET /api/v2/search":
		if q := r.URL.Query().Get("query"); !strings.HasPrefix(q, "type:user phone:+") {
			return f.wrong(r, "query %q", q)
		} else if !strings.HasSuffix(q, known) {
			return 200, `{"results": [], "count": 0}`
		}
		return 200, `{"results": [{"id": 4711, "name": "Zoë Müller", "organization_id": 3, "tags": ["vip"], "result_type": "user"}], "count": 1}`
	case r.Method == http.MethodPost && len(parts) == 10 && parts[5] == "agents" && parts[7] == "users" && parts[9] == "display":
		if phoneOf(parts[6]) == "" || parts[8] != customerID {
			return f.wrong(r, "agent or user")
		}
		f.shown = append(f.shown, phoneOf(parts[6]))
		return 200, ``
	case path == "POST /api/v2/calls":
		v, err := f.object(r.body, []string{"app_id", "from_line", "to_line", "call_started_at", "direction"}, []string{"agent_id", "call_ended_at", "completion_status"})
		at, end := clock(time.RFC3339, str(v["call_started_at"])), clock(time.RFC3339, str(v["call_ended_at"]))
		if _, text := v["app_id"].(string); err != nil || text || at.IsZero() || end.Before(at) || !slices.Contains([]any{"inbound", "outbound"}, v["direction"]) ||
			!slices.Contains([]any{"completed", "abandoned_in_queue"}, v["completion_status"]) {
			return f.wrong(r, "call: %v", err)
		}
		e := entry{out: v["direction"] == "outbound", number: str(v["from_line"]), agent: phoneOf(str(v["agent_id"])), answered: v["completion_status"] == "completed",
			started: at, seconds: int(end.Sub(at).Seconds())}
		if e.out {
			e.number = str(v["to_line"])
		}
		f.add(e)
		return 201, `{"id": "1"}`
	}
	return f.wrong(r, "no such request")
}

// retailcrm plays RetailCRM.
func retailcrm(f *fake, r *request) (int, string) {
	if r.Header.Get("X-API-KEY") != secret {
		return f.wrong(r, "key")
	}
	form, _ := url.ParseQuery(r.body)
	digits := func(phone string) string { return strings.TrimPrefix(phone, "+") }
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v5/telephony/manager":
		if phone := r.URL.Query().Get("phone"); phone == "" {
			return f.wrong(r, "phone")
		} else if phone != digits(known) {
			return 200, `{"success": true, "links": {"newCustomerLink": "https://acme.retailcrm.ru/customers/new"}}`
		}
		return 200, `{"success": true, "manager": {"id": 1, "code": "101"}, "customer": {"id": 4711, "firstName": "Zoë", "lastName": "Müller"}, "links": {"customerLink": "https://acme.retailcrm.ru/customers/4711/edit"}}`
	case "POST /api/v5/telephony/call/event":
		v, err := f.object(form.Get("event"), []string{"type", "phone", "codes"}, []string{"hangupStatus", "callExternalId"})
		codes, _ := v["codes"].([]any)
		if err != nil || !slices.Contains([]any{"in", "out", "hangup"}, v["type"]) || len(codes) != 1 || str(codes[0]) == "" || strings.HasPrefix(str(v["phone"]), "+") ||
			(v["type"] == "hangup") != slices.Contains([]any{"answered", "busy", "cancel", "failed", "no answered"}, v["hangupStatus"]) {
			return f.wrong(r, "event: %v", err)
		}
		if v["type"] == "in" {
			f.shown = append(f.shown, str(codes[0]))
		}
		return 200, `{"success": true, "notExistCodes": []}`
	case "POST /api/v5/telephony/calls/upload":
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(form.Get("calls")), &list); err != nil || len(list) != 1 {
			return f.wrong(r, "calls: %v", err)
		}
		v, err := f.object(string(list[0]), []string{"date", "type", "phone", "result", "duration", "externalId"}, []string{"code", "durationWaiting", "recordUrl", "externalPhone"})
		at := clock("2006-01-02 15:04:05", str(v["date"]))
		if err != nil || at.IsZero() || !slices.Contains([]any{"in", "out"}, v["type"]) || !slices.Contains([]any{"answered", "busy", "failed", "no answer", "not allowed", "unknown"}, v["result"]) {
			return f.wrong(r, "call: %v", err)
		}
		e := entry{key: str(v["externalId"]), out: v["type"] == "out", number: "+" + str(v["phone"]), agent: str(v["code"]), answered: v["result"] == "answered", seconds: number(v["duration"]), started: at}
		f.add(e)
		return 200, `{"success": true, "processedCallsCount": 1, "duplicateCalls": []}`
	}
	return f.wrong(r, "no such request")
}

// dynamics365 plays Dataverse.
func dynamics365(f *fake, r *request) (int, string) {
	if !f.bearer(r) {
		return f.wrong(r, "token")
	}
	key, record := strings.CutPrefix(r.URL.Path, "/api/data/v9.2/phonecalls(")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/data/v9.2/contacts":
		q := r.URL.Query()
		if q.Get("$select") == "" || !strings.Contains(q.Get("$filter"), "telephone1 eq '") {
			return f.wrong(r, "search")
		}
		if !strings.Contains(q.Get("$filter"), "mobilephone eq '+49 30 12345678'") {
			return 200, `{"value": []}`
		}
		return 200, `{"value": [{"fullname": "Zoë Müller", "contactid": "4711", "_ownerid_value": "9101"}]}`
	case r.Method == http.MethodPatch && record && strings.HasSuffix(key, ")"):
		v, err := f.object(r.body, []string{"subject", "phonenumber", "directioncode", "actualstart", "actualend", "statecode", "statuscode"},
			[]string{"actualdurationminutes", "description", "regardingobjectid_contact_phonecall@odata.bind"})
		at := clock(time.RFC3339, str(v["actualstart"]))
		out, isBool := v["directioncode"].(bool)
		if err != nil || at.IsZero() || !isBool || number(v["statecode"]) != 1 || number(v["statuscode"]) != map[bool]int{true: 2, false: 4}[out] || v["regardingobjectid_contact_phonecall@odata.bind"] != "/contacts("+customerID+")" {
			return f.wrong(r, "phone call: %v", err)
		}
		minutes := number(v["actualdurationminutes"])
		f.add(entry{key: key, out: out, number: str(v["phonenumber"]), customer: customerID, answered: minutes > 0, seconds: 60 * minutes, started: at})
		return 204, ""
	}
	return f.wrong(r, "no such request")
}
