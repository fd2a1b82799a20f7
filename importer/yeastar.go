package importer

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Yeastar reads an integration template of the P-Series: the root element is Information.
func Yeastar(text []byte) (*Result, error) {
	root, err := readTree(text)
	if err != nil {
		return nil, err
	}
	if root.name != "Information" {
		return nil, errors.New("this is no integration template of Yeastar: its root element is not Information")
	}
	y := &yeastar{Result: Result{Name: root.attr("Name")}, fields: map[string]string{}, headers: map[string]string{}, auth: func(*table) {}}
	scenarios := map[string]*element{}
	for _, s := range root.child("Scenarios").children("Scenario") {
		scenarios[s.attr("Id")] = s
	}
	if s := scenarios["AuthMethod"]; s != nil {
		y.authentication(s)
	}
	if s := scenarios["SyncContactAuto"]; s != nil {
		y.lookups(s)
	}
	for _, id := range slices.Sorted(maps.Keys(scenarios)) {
		switch s := scenarios[id]; id {
		case "AuthMethod", "SyncContactAuto":
		case "CallJournal":
			y.journal(s)
		case "UserAssociation":
			y.agents(s)
		default:
			y.left("scenario %s: ringhook does not search by other than numbers, create contacts or tickets, or make a second request", id)
		}
	}
	if scenarios["SyncContactAuto"] == nil {
		y.left("the template has no scenario SyncContactAuto, which looks a number up")
	}
	return y.finished()
}

// yeastar converts one template.
type yeastar struct {
	Result
	fields   map[string]string // of the administrator, by their keys, with their titles
	headers  map[string]string // of every request
	auth     func(*table)
	customer bool
}

// authentication reads how requests say who sends them.
func (y *yeastar) authentication(s *element) {
	values := map[string]string{}
	for _, p := range s.child("Parameters").children("Parameter") {
		switch {
		case p.attr("Father") == "CustomFieldList":
			name := p.attr("Key")
			if name == "" {
				name = p.attr("Name")
			}
			y.fields[name] = p.attr("Title")
		case p.attr("Type") == "Header":
			if text, ok := y.fill(p.attr("Value"), plain, nothing); ok && !strings.EqualFold(p.attr("Name"), "Content-Type") {
				y.headers[p.attr("Name")] = text
			}
		case p.attr("Father") == "":
			values[p.attr("Name")] = p.attr("Value")
		}
	}
	fill := func(name string) string {
		text, ok := y.fill(values[name], plain, nothing)
		if !ok {
			y.left("%s of the authentication: %s", name, values[name])
		}
		return text
	}
	switch strings.ToLower(values["AuthMethod"]) {
	case "", "none":
	case "basic":
		user, password, _ := strings.Cut(fill("Base64EncodedCredential"), ":")
		if user == "" {
			user, password = y.variable("username", "user of the product's API"), y.variable("password", "password of the product's API")
		}
		y.auth = func(t *table) {
			t.set("username", user)
			t.set("password", password)
		}
	case "oauth2":
		t := y.add(accountTable, "The access of the template's OAuth2: get a code as the product's documentation says, and run ringhook account add.")
		t.set("name", tableName(y.Name))
		scheme := values["TokenType"]
		if scheme != "" && scheme != "Bearer" {
			t.set("scheme", scheme)
		}
		settings := map[string]string{
			"grant": "refresh_token", "token_url": fill("TokenEndPoint"),
			"client_id": y.variable("client_id", "of the app in the product"), "client_secret": y.variable("client_secret", "of the app in the product"),
		}
		if scope := fill("Scope"); scope != "" {
			settings["scope"] = scope
		}
		t.set("oauth2", settings)
		y.auth = func(t *table) { t.set("account", tableName(y.Name)) }
		y.left("OAuth2: run ringhook account add %s --code CODE", tableName(y.Name))
	default: // bearer_token
		token := ""
		for _, name := range slices.Sorted(maps.Keys(y.fields)) {
			if strings.Contains(strings.ToLower(name), "token") || strings.Contains(strings.ToLower(name), "key") {
				token = y.variable(name, y.fields[name])
			}
		}
		if token == "" {
			token = y.variable("token", "token of the product's API")
		}
		y.headers["Authorization"] = "Bearer " + token
		y.left("AuthMethod %s: check the header Authorization", values["AuthMethod"])
	}
}

func nothing(string) (string, bool) { return "", false }

// action matches what stands between braces in a template.
var action = regexp.MustCompile(`\{\{(.*?)\}\}`)

// simple matches a variable, and one that a function changes.
var (
	simple   = regexp.MustCompile(`^\s*(?:(UrlEncode|Capitalize|ToMillis)\s+)?\.([A-Za-z_][A-Za-z0-9_]*)\s*$`)
	timeForm = regexp.MustCompile(`^\s*TimeFormat\s+\.([A-Za-z_][A-Za-z0-9_]*)\s+"([^"]*)"\s+"([01]?)"\s*$`)
)

// fill replaces the variables of a text. value returns what stands for one of a call; ok is false if it cannot be
// carried over. Literal text passes through literal.
func (y *yeastar) fill(text string, literal func(string) string, value func(name string) (string, bool)) (string, bool) {
	if !y.spend(len(text)) {
		return "", false
	}
	var b strings.Builder
	for {
		at := action.FindStringSubmatchIndex(text)
		if at == nil {
			b.WriteString(literal(text))
			return b.String(), true
		}
		b.WriteString(literal(text[:at[0]]))
		filled, ok := y.action(text[at[2]:at[3]], value)
		if !ok {
			return "", false
		}
		b.WriteString(filled)
		text = text[at[1]:]
	}
}

// action returns what stands for one action of a template.
func (y *yeastar) action(text string, value func(name string) (string, bool)) (string, bool) {
	if m := timeForm.FindStringSubmatch(text); m != nil {
		placeholder, ok := value(m[1])
		name, _, found := strings.Cut(strings.Trim(placeholder, "%"), ":")
		layout, known := goLayout(m[2])
		if !ok || !found || !known {
			return "", false
		}
		if m[3] != "1" {
			y.left("TimeFormat without UTC: the hook sends UTC; set its time_zone to that of the company")
		}
		return "%" + name + ":" + layout + "%", true
	}
	m := simple.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	function, name := m[1], m[2]
	if title, ours := y.fields[name]; ours {
		return y.variable(name, title), true
	}
	placeholder, ok := value(name)
	if !ok {
		return "", false
	}
	switch function {
	case "ToMillis":
		name, _, found := strings.Cut(strings.Trim(placeholder, "%"), ":")
		return "%" + name + ":unix-ms%", found
	case "Capitalize":
		y.left("Capitalize of %s", name)
	}
	return placeholder, true // values are escaped for their place by ringhook
}

// goLayout converts a format of times to one of Go.
func goLayout(format string) (string, bool) {
	layout := strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05", "SSS", "000", "Zz", "Z07:00", "zzz", "-07:00").Replace(format)
	return layout, layout != "" && !strings.ContainsAny(layout, "%\r\n")
}

// queryText makes a text literal in the query of an address.
func queryText(s string) string { return plain(strings.ReplaceAll(url.QueryEscape(s), "+", "%20")) }

// request converts the request of a scenario.
func (y *yeastar) request(t *table, r *element, value func(string) (string, bool), what string) bool {
	address, ok := y.fill(r.attr("URLFormat"), plain, value)
	if !ok || address == "" {
		y.left("%s: its address %s", what, r.attr("URLFormat"))
		return false
	}
	headers, body := maps.Clone(y.headers), ""
	for _, p := range r.child("Parameters").children("Parameter") {
		inBody := strings.EqualFold(p.attr("Type"), "Body")
		literal := plain
		if strings.EqualFold(p.attr("Type"), "Query") {
			literal = queryText
		}
		text, ok := y.fill(p.attr("Value"), literal, value)
		switch {
		case !ok && inBody:
			y.left("%s: its body %s", what, p.attr("Value"))
			return false
		case !ok:
			y.left("%s: %s %s: %s", what, p.attr("Type"), p.attr("Name"), p.attr("Value"))
		case inBody:
			body = text
		case strings.EqualFold(p.attr("Type"), "Header"):
			headers[p.attr("Name")] = text
		case strings.EqualFold(p.attr("Type"), "Query"):
			separator := "?"
			if strings.Contains(address, "?") {
				separator = "&"
			}
			address += separator + queryText(p.attr("Name")) + "=" + text
		default:
			y.left("%s: the parameter %s of the type %q", what, p.attr("Name"), p.attr("Type"))
		}
	}
	t.set("url", strings.ReplaceAll(address, " ", "%20"))
	if len(headers) > 0 {
		t.set("headers", headers)
	}
	method := strings.ToUpper(r.attr("Method"))
	if method != "" && method != "GET" {
		t.set("method", method)
	}
	if get := method == "GET" || method == ""; get || body == "" {
		if t.header == hookTable {
			t.addressOnly(get)
		}
		return true
	}
	json := strings.HasPrefix(strings.TrimSpace(body), "{") || strings.HasPrefix(strings.TrimSpace(body), "[")
	t.setBody(body, json)
	return true
}

// lookups converts the requests that look a number up, each to a lookup.
func (y *yeastar) lookups(s *element) {
	link := ""
	for _, p := range s.child("Parameters").children("Parameter") {
		if p.attr("Name") == "URLFormat" {
			link = p.attr("Value")
		}
	}
	number := func(name string) (string, bool) {
		return "%callerid%", name == "CallerNumber" || name == "Phone" || name == "SearchValue"
	}
	requests := s.child("Requests").children("Request")
	for i, r := range requests {
		t := y.add("[[lookup]]", "request "+r.attr("Name"))
		name := tableName(y.Name)
		if len(requests) > 1 {
			name = tableNames(y.Name, r.attr("Name"))
		}
		t.set("name", name)
		t.set("points", []string{"queue-dial", "agent-dial"})
		if !y.request(t, r, number, "request "+r.attr("Name")) {
			y.tables = y.tables[:len(y.tables)-1]
			continue
		}
		y.auth(t)
		t.set("format", "json")
		y.answer(t, r, link)
		if i > 0 {
			t.set("rank", i)
		}
		if next := r.child("Outputs").attr("Next"); next != "" {
			y.left("the request %s that follows %s: the values of its outputs are missing", next, r.attr("Name"))
		}
	}
}

// answer converts the outputs of a lookup.
func (y *yeastar) answer(t *table, r *element, link string) {
	var list []string
	listed := false
	paths := map[string][]string{}
	for _, o := range r.child("Outputs").children("Output") {
		if o.attr("Path") == "" {
			continue
		}
		at, field, inList, ok := gjsonPath(o.attr("Path"))
		switch {
		case !ok:
			y.left("output %s: its path %s", o.attr("Name"), o.attr("Path"))
			continue
		case len(paths) == 0:
			list, listed = at, inList
		case listed != inList || !slices.Equal(list, at):
			y.left("output %s: its path %s is in another list than that of the others", o.attr("Name"), o.attr("Path"))
			continue
		}
		paths[o.attr("Name")] = field
	}
	records := jqWalk(list)
	if listed && len(list) == 0 {
		records = `. | (if type == "array" then .[] else empty end)`
	}
	t.set("records", records+` | select(type == "object")`)
	result := map[string]string{}
	var name [][]string
	for _, part := range []string{"FirstName", "LastName"} {
		if p := paths[part]; p != nil {
			name = append(name, p)
		}
	}
	switch {
	case len(name) > 0:
		result["CALLERID(name)"] = jqName(name)
	case paths["CompanyName"] != nil:
		result["CALLERID(name)"] = jqField(paths["CompanyName"])
	}
	for output, variable := range map[string]string{"CompanyName": "company", "ContactUrl": "call_info"} {
		if p := paths[output]; p != nil {
			result[variable] = jqField(p)
		}
	}
	for _, output := range []string{"ContactsId", "ContactId"} {
		if p := paths[output]; p != nil {
			result["customer_id"], y.customer = jqField(p), true
		}
	}
	if link != "" && result["call_info"] == "" {
		if pieces, ok := y.pieces(link, paths); ok {
			result["call_info"] = jqText(pieces)
		} else {
			y.left("the card %s: write a [[pop]], or call_info of the lookup", link)
		}
	}
	t.set("map", result)
	if result["customer_id"] != "" {
		t.set("identity", "customer_id")
	}
	if len(result) == 0 {
		y.left("request %s: its outputs have neither a name nor a link: write map of the lookup", r.attr("Name"))
	}
}

// pieces splits a text into literals and fields of the answer.
func (y *yeastar) pieces(text string, paths map[string][]string) (pieces []piece, ok bool) {
	const mark = "\x00"
	var fields [][]string
	filled, ok := y.fill(text, plain, func(name string) (string, bool) {
		path := paths[name]
		if path != nil {
			fields = append(fields, path)
		}
		return mark, path != nil && y.spend(pathSize(path))
	})
	if !ok || strings.Count(filled, mark) != len(fields) {
		return nil, false
	}
	for i, literal := range strings.Split(filled, mark) {
		if literal != "" {
			pieces = append(pieces, piece{literal: literal})
		}
		if i < len(fields) {
			pieces = append(pieces, piece{path: fields[i]})
		}
	}
	return pieces, len(pieces) > 0
}

// recorded matches a text that is sent only for a call with a recording.
var recorded = regexp.MustCompile(`^\s*\{\{\s*if\s+\.RecordPath\s*\}\}(.*)\{\{\s*end\s*\}\}\s*$`)

// journal converts the requests that report calls.
func (y *yeastar) journal(s *element) {
	requests := s.child("Requests").children("Request")
	for i, r := range requests {
		name := "journal"
		if i > 0 {
			name = fmt.Sprintf("journal%d", i+1)
		}
		for _, outgoing := range []bool{false, true} {
			when, suffix := "direction == 'incoming'", "-in"
			if outgoing {
				when, suffix = "direction == 'outgoing'", "-out"
			}
			copied := *r
			if m := recorded.FindStringSubmatch(r.attrs["URLFormat"]); m != nil {
				when += " and recording_url != ''"
				copied.attrs = maps.Clone(r.attrs)
				copied.attrs["URLFormat"] = m[1]
			}
			t := y.add(hookTable, "scenario CallJournal, request "+r.attr("Name"))
			t.set("name", tableNames(y.Name, name+suffix))
			t.set("events", []string{"call-hangup"})
			t.set("when", when)
			if !y.request(t, &copied, func(name string) (string, bool) { return y.call(name, outgoing) }, "request "+r.attr("Name")) {
				y.tables = y.tables[:len(y.tables)-1]
				break
			}
			y.auth(t)
			t.set("words.status", map[string]string{"answer": "ANSWERED", "noanswer": "NO ANSWER", "busy": "BUSY", "*": "FAILED"})
			t.set("time_zone", "UTC")
		}
	}
}

// call returns the placeholder of a variable of a call.
func (y *yeastar) call(name string, outgoing bool) (string, bool) {
	caller, callee, direction, phone := "%callerid%", "%agent_phone%", "Inbound", "%callerid%"
	if outgoing {
		caller, callee, direction, phone = "%agent_phone%", "%dialed%", "Outbound", "%dialed%"
	}
	switch name {
	case "CallerNumber", "Call_From":
		return caller, true
	case "CalleeNumber", "Call_To":
		return callee, true
	case "Communication_Type", "CallType":
		return direction, true
	case "Phone", "BusinessNumber":
		return phone, true
	case "ContactId", "ContactsId":
		if !y.customer {
			y.left("%s is empty, because the lookup answers none", name)
		}
		return "%customer_id%", true
	case "UserUniqueId", "UserId":
		return "%agent_id_" + strings.ReplaceAll(tableName(y.Name), "-", "_") + "%", true
	}
	value, ok := map[string]string{
		"Call_Status": "%status%", "Talk_Duration_Sec": "%talk_time%", "Talk_Duration": "%talk_time%", "Call_Duration_Sec": "%duration%",
		"StartTimeUnix": "%started:unix%", "AnswerTimeUnix": "%answered:unix%", "EndTimeUnix": "%ended:unix%", "Time": "%started:2006-01-02 15:04:05%",
		"RecordPath": "%recording_url%", "CallerDisplayName": "%callerid_name%", "CallId": "%linkedid%", "Call_ID": "%linkedid%",
	}[name]
	return value, ok
}

// agents converts the list of users.
func (y *yeastar) agents(s *element) {
	requests := s.child("Requests").children("Request")
	if len(requests) == 0 {
		return
	}
	r := requests[0]
	t := y.add("[[agents]]", "the ids of the product's users, found by their address, which is info of the [[agent]]")
	t.set("name", strings.ReplaceAll(tableName(y.Name), "-", "_"))
	if !y.request(t, r, nothing, "scenario UserAssociation") {
		y.tables = y.tables[:len(y.tables)-1]
		return
	}
	before := len(t.keys)
	if y.auth(t); len(t.keys) > before && t.keys[before].name != "account" {
		t.keys = t.keys[:before]
		y.left("UserAssociation: write the header Authorization of the [[agents]] table")
	}
	var list []string
	result := map[string]string{}
	for _, o := range r.child("Outputs").children("Output") {
		at, field, _, ok := gjsonPath(o.attr("Path"))
		if name := map[string]string{"UserUniqueId": "id", "Email": "info"}[o.attr("Name")]; ok && name != "" {
			result[name], list = jqField(field), at
		}
	}
	if result["id"] == "" || result["info"] == "" {
		y.left("UserAssociation: it has no id and address of users")
		y.tables = y.tables[:len(y.tables)-1]
		return
	}
	t.set("records", jqWalk(list)+` | select(type == "object")`)
	t.set("map", result)
	y.left("UserAssociation: set info of each [[agent]] to the user's address; only the first page of users is read")
}
