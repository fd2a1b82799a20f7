package products

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// bitrix24 plays an inbound webhook of Bitrix24.
func bitrix24(f *fake, r *request) (int, string) {
	method, ok := strings.CutPrefix(r.URL.Path, "/rest/1/"+secret+"/")
	if !ok {
		return f.wrong(r, "no method of the webhook")
	}
	return f.bitrixMethod(r, method)
}

// bitrix24App plays Bitrix24 with an application, whose tokens are a parameter of the URL. Each new one ends those before it.
func bitrix24App(f *fake, r *request) (int, string) {
	if auth := r.URL.Query()["auth"]; len(auth) != 1 || auth[0] != f.access() {
		return http.StatusUnauthorized, `{"error": "expired_token", "error_description": "The access token provided has expired."}`
	}
	method, ok := strings.CutPrefix(r.URL.Path, "/rest/")
	if !ok {
		return f.wrong(r, "no method")
	}
	return f.bitrixMethod(r, method)
}

// bitrixMethod plays the methods of telephony.
func (f *fake) bitrixMethod(r *request, method string) (int, string) {
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		return f.wrong(r, "no JSON")
	}
	switch method {
	case "telephony.externalCall.searchCrmEntities.json":
		v, err := f.object(r.body, []string{"PHONE_NUMBER"}, nil)
		if err != nil {
			return f.wrong(r, "%v", err)
		}
		if v["PHONE_NUMBER"] != known {
			return 200, `{"result": [], "time": {}}`
		}
		return 200, `{"result": [{"CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 4711, "ASSIGNED_BY_ID": 1, "NAME": "Zoë Müller",
			"ASSIGNED_BY": {"ID": 1, "TIMEMAN_STATUS": "OPENED", "USER_PHONE_INNER": "101"}},
			{"CRM_ENTITY_TYPE": "COMPANY", "CRM_ENTITY_ID": 12, "ASSIGNED_BY_ID": 1, "NAME": "ACME", "ASSIGNED_BY": []}], "time": {}}`
	case "telephony.externalCall.register.json":
		v, err := f.object(r.body, []string{"USER_ID", "PHONE_NUMBER", "TYPE"}, []string{"CALL_START_DATE", "CRM_CREATE", "SHOW", "LINE_NUMBER", "EXTERNAL_CALL_ID"})
		if err != nil || !slices.Contains([]string{"1", "2", "3", "4", "5"}, str(v["TYPE"])) || clock(time.RFC3339, str(v["CALL_START_DATE"])).IsZero() {
			return f.wrong(r, "register: %v", err)
		}
		// The same call within 30 minutes has the same id.
		id := "externalCall." + strings.Join([]string{str(v["PHONE_NUMBER"]), str(v["TYPE"]), str(v["USER_ID"]), str(v["LINE_NUMBER"]), str(v["EXTERNAL_CALL_ID"])}, ".")
		f.ids[id] = r.body
		return 200, fmt.Sprintf(`{"result": {"CALL_ID": %q, "CRM_CREATED_LEAD": 0, "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 4711}, "time": {}}`, id)
	case "telephony.externalCall.show.json", "telephony.externalCall.hide.json":
		v, err := f.object(r.body, []string{"CALL_ID", "USER_ID"}, nil)
		if err != nil || f.ids[str(v["CALL_ID"])] == "" || phoneOf(str(v["USER_ID"])) == "" {
			return f.wrong(r, "no call of that id, or no user: %v", err)
		}
		if strings.Contains(method, "show") {
			f.shown = append(f.shown, phoneOf(str(v["USER_ID"])))
		}
		return 200, `{"result": true, "time": {}}`
	case "batch.json":
		var batch struct {
			Halt int               `json:"halt"`
			Cmd  map[string]string `json:"cmd"`
		}
		if err := json.Unmarshal([]byte(r.body), &batch); err != nil || len(batch.Cmd) != 2 {
			return f.wrong(r, "no batch: %v", err)
		}
		return f.bitrixBatch(r, batch.Cmd)
	case "telephony.externalCall.attachRecord.json":
		v, err := f.object(r.body, []string{"CALL_ID", "FILENAME", "FILE_CONTENT"}, nil)
		if err != nil {
			return f.wrong(r, "attachRecord: %v", err)
		}
		id := str(v["CALL_ID"])
		content, err := base64.StdEncoding.DecodeString(str(v["FILE_CONTENT"]))
		if err != nil || string(content) != sound || !strings.HasSuffix(str(v["FILENAME"]), ".wav") || f.ids["finished "+id] == "" {
			return f.wrong(r, "attachRecord of a file %q with %d bytes: %v", v["FILENAME"], len(content), err)
		}
		if f.ids["recording "+id] == "" { // a repeated one replaces it
			f.ids["recording "+id] = id
			f.uploads++
		}
		return 200, `{"result": {"FILE_ID": 9079}, "time": {}}`
	}
	return f.wrong(r, "no method")
}

// bitrixBatch plays a batch that finishes a call and attaches its recording. A finished call is none any more.
func (f *fake) bitrixBatch(r *request, cmd map[string]string) (int, string) {
	name, query, _ := strings.Cut(cmd["finish"], "?")
	args, err := url.ParseQuery(query)
	id := args.Get("CALL_ID")
	statuses := []string{"200", "304", "603", "603-S", "403", "404", "486", "484", "503", "480", "402", "423", "OTHER"}
	if err != nil || name != "telephony.externalCall.finish" || args.Get("USER_ID") == "" || !slices.Contains(statuses, args.Get("STATUS_CODE")) {
		return f.wrong(r, "finish: %v", err)
	}
	results, failures := map[string]any{}, map[string]any{}
	failed := func(text string) any { return map[string]string{"error": "ERROR_CORE", "error_description": text} }
	switch registered := f.ids[id]; {
	case registered == "" && f.ids["finished "+id] == "":
		return f.wrong(r, "finish of a call that was never registered")
	case registered == "":
		failures["finish"] = failed("Call is not found (call should be registered prior to finishing")
	default:
		v, _ := f.object(registered, nil, []string{"USER_ID", "PHONE_NUMBER", "TYPE", "CALL_START_DATE", "CRM_CREATE", "SHOW", "LINE_NUMBER", "EXTERNAL_CALL_ID"})
		e := entry{out: v["TYPE"] == "1", number: str(v["PHONE_NUMBER"]), agent: phoneOf(args.Get("USER_ID")), answered: args.Get("STATUS_CODE") == "200",
			seconds: number(args.Get("DURATION")), started: clock(time.RFC3339, str(v["CALL_START_DATE"]))}
		if e.number == known { // the CRM finds the entity itself
			e.customer = customerID
		}
		f.add(e)
		delete(f.ids, id)
		f.ids["finished "+id] = id
		results["finish"] = map[string]string{"CALL_ID": id}
	}
	name, query, _ = strings.Cut(cmd["record"], "?")
	if args, err = url.ParseQuery(query); err != nil || name != "telephony.externalCall.attachRecord" || args.Get("CALL_ID") != id || args.Get("FILENAME") == "" {
		return f.wrong(r, "attachRecord: %v", err)
	}
	switch address, given := args["RECORD_URL"]; {
	case !given: // the file would follow
		results["record"] = map[string]string{"uploadUrl": "https://acme.bitrix24.com/rest/upload.json?token=telephony%7C1", "fieldName": "file"}
	case address[0] == "":
		failures["record"] = failed("Could not resolve host")
	case address[0] != recorded["recording_url"]:
		return f.wrong(r, "recording %q", address[0])
	default:
		results["record"] = map[string]int{"FILE_ID": 7}
	}
	// PHP writes an empty table as a list.
	answer := map[string]any{"result": results, "result_error": failures}
	for key, table := range map[string]map[string]any{"result": results, "result_error": failures} {
		if len(table) == 0 {
			answer[key] = []any{}
		}
	}
	text, _ := json.Marshal(map[string]any{"result": answer, "time": map[string]any{}})
	return 200, string(text)
}
