package importer

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ThreeCX reads a server-side CRM template of 3CX: the root element is Crm.
func ThreeCX(text []byte) (*Result, error) {
	root, err := readTree(text)
	if err != nil {
		return nil, err
	}
	if root.name != "Crm" {
		return nil, errors.New("this is no CRM template of 3CX: its root element is not Crm")
	}
	x := &threeCX{Result: Result{Name: root.attr("Name")}, root: root, params: map[string]*element{}}
	for _, p := range root.child("Parameters").children("Parameter") {
		x.params[p.attr("Name")] = p
	}
	x.spelling()
	x.authentication()
	scenarios := root.child("Scenarios").children("Scenario")
	lookup := slices.IndexFunc(scenarios, func(s *element) bool { return s.attr("Id") == "" })
	if lookup >= 0 {
		x.lookup(scenarios[lookup]) // first: what it answers decides what the journal can have
	}
	for i, s := range scenarios {
		id := s.attr("Id")
		switch {
		case i == lookup:
		case strings.HasPrefix(id, "ReportCall"):
			x.journal(s)
		case s == x.login:
		case id == "":
			x.left("a second scenario without an Id, for another form of the number: see spellings of the lookup")
		default:
			x.left("scenario %s: ringhook does not search by other than numbers, create contacts or log chats", id)
		}
	}
	if lookup < 0 {
		x.left("the template has no scenario that looks a number up")
	}
	if x.root.child("Connection").attr("MaxConcurrentRequests") != "" {
		x.left("MaxConcurrentRequests of Connection: concurrency of the lookup and of the hooks is 16")
	}
	return x.finished()
}

// threeCX converts one template.
type threeCX struct {
	Result
	root      *element
	params    map[string]*element
	login     *element // the scenario of the authentication, which is not carried over
	spellings []string
	auth      func(*table) // adds the credentials to a table
	customer  bool         // the lookup answers customer_id
}

// spelling reads how the template writes numbers.
func (x *threeCX) spelling() {
	n := x.root.child("Number")
	x.spellings = map[string][]string{"plus": {"e164"}, "off": {"plus-less"}, "zeros": {"00"}}[strings.ToLower(n.attr("Prefix"))]
	if x.spellings == nil {
		x.spellings = []string{"e164"}
		x.left("Number Prefix=%q: the number is sent as +49...; change spellings if the CRM stores numbers in another form", n.attr("Prefix"))
	}
	most := n.attr("MaxLength")
	if p := x.params[strings.Trim(most, "[]")]; p != nil {
		most = p.attr("Default")
	}
	switch {
	case regexp.MustCompile(`^([4-9]|1[0-5])$`).MatchString(most):
		x.spellings = []string{"last:" + most}
	case most != "" && most != "[MaxLength]":
		x.left("Number MaxLength=%q is no number of digits from 4 to 15", n.attr("MaxLength"))
	}
}

func (x *threeCX) authentication() {
	a := x.root.child("Authentication")
	x.auth = func(*table) {}
	switch strings.ToLower(a.attr("Type")) {
	case "", "no":
	case "basic":
		value, ok := x.config(a.child("Value").content())
		user, password, _ := strings.Cut(value, ":")
		if !ok || user == "" {
			x.left("Authentication: set username and password of the lookup and the hooks")
			return
		}
		x.auth = func(t *table) {
			t.set("username", user)
			t.set("password", password)
		}
	case "oauth2":
		t := x.add(accountTable, "The access of the template's OAuth2. Check token_url and scope, and run ringhook account add.")
		t.set("name", tableName(x.Name))
		t.set("oauth2", map[string]string{
			"grant": "refresh_token", "token_url": x.variable("token_url", "address that issues tokens, as the product's documentation has it"),
			"client_id": x.variable("client_id", "of the app in the product"), "client_secret": x.variable("client_secret", "of the app in the product"),
		})
		x.left("Authentication OAuth2: token_url, client ID and secret of the account, and ringhook account add %s --code CODE", tableName(x.Name))
		x.auth = func(t *table) { t.set("account", tableName(x.Name)) }
	default:
		for _, s := range x.root.child("Scenarios").children("Scenario") {
			if id := s.attr("Id"); id != "" && (id == a.content() || id == a.child("Value").content()) {
				x.login = s
			}
		}
		x.left("Authentication Type=%q: write an [[account]] with login, and name it in account of the lookup and the hooks", a.attr("Type"))
	}
}

// bracketed matches what may be a variable of a template, and variable the name of one. Calls of methods and conditions have
// brackets inside brackets.
var (
	bracketed = regexp.MustCompile(`\[([^\[\]]+)\]`)
	variable  = regexp.MustCompile(`^[\pL_][\pL\pM\pN_]*$`)
)

// reference returns where the first variable of a text and its name stand, nil if it has none. The name of a parameter may
// have any character.
func (x *threeCX) reference(text string) []int {
	for from := 0; ; {
		at := bracketed.FindStringSubmatchIndex(text[from:])
		if at == nil {
			return nil
		}
		for i := range at {
			at[i] += from
		}
		if name := text[at[2]:at[3]]; variable.MatchString(name) || x.params[name] != nil {
			return at
		}
		from = at[1]
	}
}

// maxPasses is the maximum number of times for which parameters in parameters are replaced.
const maxPasses = 4

// fill replaces the variables of a text. value returns what stands for one; ok is false if it cannot be carried over.
// Literal text passes through literal.
func (x *threeCX) fill(text string, literal func(string) string, value func(name string) (string, bool)) (out string, ok bool) {
	return x.fillIn(text, literal, value, 0)
}

func (x *threeCX) fillIn(text string, literal func(string) string, value func(name string) (string, bool), pass int) (out string, ok bool) {
	if !x.spend(len(text)) {
		return "", false
	}
	var b strings.Builder
	for {
		at := x.reference(text)
		if at == nil {
			if strings.Contains(text, "[[") || strings.Contains(text, "].") {
				return "", false // an expression
			}
			b.WriteString(literal(text))
			return b.String(), true
		}
		before, name, after := text[:at[0]], text[at[2]:at[3]], text[at[1]:]
		if strings.HasSuffix(before, "[") || strings.HasPrefix(after, ".") && len(after) > 1 && after[1] >= 'A' && after[1] <= 'Z' {
			return "", false // a call of a method
		}
		b.WriteString(literal(before))
		filled, ok := value(name)
		if !ok {
			p := x.params[name]
			if p == nil || pass >= maxPasses {
				return "", false
			}
			if filled, ok = x.parameter(p, literal, value, pass); !ok || !x.spend(len(filled)) {
				return "", false
			}
		}
		b.WriteString(filled)
		text = after
	}
}

// parameter returns the value of a parameter that the administrator chooses: its default, which may have variables, or
// an environment variable.
func (x *threeCX) parameter(p *element, literal func(string) string, value func(string) (string, bool), pass int) (string, bool) {
	if p.attr("Default") == "" || strings.EqualFold(p.attr("Editor"), "Password") {
		return x.variable(p.attr("Name"), p.attr("Title")), true
	}
	return x.fillIn(p.attr("Default"), literal, value, pass+1)
}

// config fills a text that has no variables of a call.
func (x *threeCX) config(text string) (string, bool) {
	return x.fill(text, plain, func(string) (string, bool) { return "", false })
}

// lookup converts the scenario that looks a number up.
func (x *threeCX) lookup(s *element) {
	t := x.add("[[lookup]]", "")
	t.set("name", tableName(x.Name))
	t.set("points", []string{"queue-dial", "agent-dial"})
	number := func(name string) (string, bool) {
		return map[string]string{"Number": "%callerid%"}[name], name == "Number"
	}
	if !x.request(t, s, number, "a lookup") {
		x.tables = x.tables[:len(x.tables)-1]
		return
	}
	x.auth(t)
	t.set("spellings", x.spellings)
	t.set("format", "json")
	if kind := s.child("Request").attr("ResponseType"); !strings.EqualFold(kind, "json") && kind != "" {
		x.left("ResponseType=%q of the lookup: the answer is read as JSON; for XML change format and write map as XPath", kind)
	}
	x.answer(t, s)
	t.set("concurrency", 16)
	if next := s.child("Outputs").attr("Next"); next != "" {
		x.left("the scenario %s that follows the lookup: the values of its outputs are missing", next)
	}
}

// answer converts rules, variables and outputs of the lookup.
func (x *threeCX) answer(t *table, s *element) {
	var prefix, last []string
	for _, rule := range s.child("Rules").children("Rule") {
		path := strings.Split(rule.content(), ".")
		if rule.content() == "" || slices.Contains(path, "") {
			continue
		}
		if rule.attr("Ethalon") != "" || !strings.EqualFold(rule.attr("Type"), "Any") {
			x.left("rule of the type %s for %s: a customer is found if the field is there", rule.attr("Type"), rule.content())
		}
		if last != nil {
			x.left("rule for %s: one rule is used", rule.content())
			continue
		}
		prefix, last = path[:len(path)-1], path[len(path)-1:]
	}
	records := jqWalk(prefix)
	if last != nil {
		records += " | select(type == \"object\") | select((" + jqKey(last[0]) + ") != null)"
	}
	t.set("records", records)
	paths := map[string][]string{}
	for _, v := range s.child("Variables").children("Variable") {
		path := strings.Split(v.attr("Path"), ".")
		if len(v.child("Filter").inner) > 0 || v.attr("LookupValue") != "" {
			x.left("variable %s: its filter", v.attr("Name"))
		}
		if len(path) <= len(prefix) || !slices.Equal(path[:len(prefix)], prefix) || slices.Contains(path, "") {
			x.left("variable %s: its path %s is not below that of the rule", v.attr("Name"), v.attr("Path"))
			continue
		}
		paths[v.attr("Name")] = path[len(prefix):]
	}
	x.outputs(t, s, paths)
}

// outputs converts what the lookup returns.
func (x *threeCX) outputs(t *table, s *element, paths map[string][]string) {
	values := map[string][]piece{}
	for _, o := range s.child("Outputs").children("Output") {
		pieces, ok := x.pieces(o.attr("Value"), paths)
		if !ok {
			x.left("output %s: %s", o.attr("Type"), o.attr("Value"))
			continue
		}
		values[o.attr("Type")] = pieces
	}
	result := map[string]string{}
	var name [][]string
	for _, part := range []string{"FirstName", "LastName"} {
		if p := values[part]; len(p) == 1 && p[0].path != nil {
			name = append(name, p[0].path)
		}
	}
	company := values["CompanyName"]
	switch {
	case len(name) > 0:
		result["CALLERID(name)"] = jqName(name)
	case len(company) > 0:
		result["CALLERID(name)"] = jqText(company)
	}
	for output, variable := range map[string]string{"ContactUrl": "call_info", "EntityId": "customer_id", "EntityType": "customer_type", "CompanyName": "company"} {
		if p := values[output]; len(p) > 0 {
			result[variable] = jqText(p)
		}
	}
	if result["customer_id"] == "" && len(values["ContactID"]) > 0 {
		result["customer_id"] = jqText(values["ContactID"])
	}
	x.customer = result["customer_id"] != ""
	if len(result) == 0 {
		x.left("the outputs have neither a name nor a link: write map of the lookup")
	}
	t.set("map", result)
	if x.customer {
		t.set("identity", "customer_id")
	}
}

// pieces splits a text into literals and fields of the answer.
func (x *threeCX) pieces(text string, paths map[string][]string) (pieces []piece, ok bool) {
	const mark = "\x00"
	var fields [][]string
	filled, ok := x.fill(text, plain, func(name string) (string, bool) {
		path, known := paths[name]
		if known {
			fields = append(fields, path)
		}
		return mark, known && x.spend(pathSize(path))
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

// request converts the request of a scenario. It reports false if its address or its message cannot be carried over.
func (x *threeCX) request(t *table, s *element, value func(string) (string, bool), what string) bool {
	r := s.child("Request")
	address, ok := x.fill(r.attr("Url"), plain, value)
	if !ok || address == "" {
		x.left("%s: its address %s", what, r.attr("Url"))
		return false
	}
	t.set("url", strings.ReplaceAll(address, " ", "%20"))
	headers := map[string]string{}
	for _, h := range r.child("Headers").children("Value") {
		text, ok := x.fill(h.content(), plain, value)
		if !ok {
			x.left("%s: its header %s", what, h.attr("Key"))
			continue
		}
		if !strings.EqualFold(h.attr("Key"), "Content-Type") {
			headers[h.attr("Key")] = text
		}
	}
	if len(headers) > 0 {
		t.set("headers", headers)
	}
	method := strings.ToUpper(r.attr("RequestType"))
	get := method == "" || method == "GET"
	if !get {
		t.set("method", method)
		body, json, ok := x.body(r, value, what)
		if !ok {
			return false
		}
		if body != "" {
			t.setBody(body, json)
			return true
		}
	}
	if t.header == hookTable {
		t.addressOnly(get)
	}
	return true
}

// body converts the values that a request posts, to JSON or a form. ok is false if it is one message that cannot be
// carried over.
func (x *threeCX) body(r *element, value func(string) (string, bool), what string) (body string, json, ok bool) {
	json = strings.EqualFold(r.attr("RequestEncoding"), "Json")
	switch values := r.child("PostValues"); {
	case r.attr("Message") != "" || r.attr("PostText") != "":
		text := r.attr("Message") + r.attr("PostText")
		filled, ok := x.fill(text, plain, value)
		if !ok {
			x.left("%s: its message %s", what, text)
		}
		return filled, strings.HasPrefix(strings.TrimSpace(filled), "{"), ok
	case len(values.inner) == 0:
		return "", json, true
	case json:
		return x.jsonValues(values.children("Value"), value, what, false), true, true
	default:
		var pairs []string
		for _, v := range values.children("Value") {
			if text, ok := x.fill(v.content(), func(s string) string { return plain(url.QueryEscape(s)) }, value); ok {
				pairs = append(pairs, url.QueryEscape(v.attr("Key"))+"="+text)
			} else {
				x.left("%s: its value %s: %s", what, v.attr("Key"), v.content())
			}
		}
		return strings.Join(pairs, "&"), false, true
	}
}

// jsonValues writes values as an object or a list of JSON with placeholders.
func (x *threeCX) jsonValues(values []*element, value func(string) (string, bool), what string, list bool) string {
	var parts []string
	for _, v := range values {
		text := ""
		switch kind := strings.ToLower(v.attr("Type")); kind {
		case "object":
			text = x.jsonValues(v.children("Value"), value, what, false)
		case "array":
			text = x.jsonValues(v.children("Value"), value, what, true)
		default:
			filled, ok := x.fill(v.content(), func(s string) string { q := quoted(plain(s)); return q[1 : len(q)-1] }, value)
			if !ok {
				x.left("%s: its value %s: %s", what, v.attr("Key"), v.content())
				continue
			}
			number := kind == "integer" || kind == "number" || kind == "double" || kind == "boolean"
			if number && !strings.ContainsAny(filled, `"\ `) && filled != "" {
				text = filled
			} else {
				text = `"` + filled + `"`
			}
		}
		if list {
			parts = append(parts, text)
		} else {
			parts = append(parts, quoted(v.attr("Key"))+": "+text)
		}
	}
	if list {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
