package products

import (
	"encoding/json"
	"net/http"
	"slices"
)

// odooJSONRPC plays Odoo 14 to 18. Errors have status 200.
func odooJSONRPC(f *fake, r *request) (int, string) {
	refused := func(format string, args ...any) (int, string) {
		f.wrong(r, format, args...)
		return 200, `{"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "message": "Odoo Server Error", "data": {"name": "odoo.exceptions.AccessDenied"}}}`
	}
	var v struct {
		JSONRPC, Method string
		Params          struct {
			Service, Method string
			Args            []json.RawMessage
		}
	}
	if r.Method+" "+r.URL.Path != "POST /jsonrpc" {
		return http.StatusNotFound, "<h1>Not Found</h1>"
	}
	err := json.Unmarshal([]byte(r.body), &v)
	p := v.Params
	if err != nil || r.Header.Get("Content-Type") != "application/json" || v.JSONRPC != "2.0" || v.Method != "call" || p.Service != "object" || p.Method != "execute_kw" || len(p.Args) != 7 {
		return refused("no call of a method: %v", err)
	}
	if string(p.Args[0]) != `"acme"` || string(p.Args[1]) != "2" || string(p.Args[2]) != `"`+secret+`"` || string(p.Args[3]) != `"res.partner"` {
		return refused("database, user, key or model")
	}
	switch string(p.Args[4]) {
	case `"search_read"`:
		var domains [][][]string
		if err := json.Unmarshal(p.Args[5], &domains); err != nil || len(domains) != 1 || len(domains[0]) != 1 || !slices.Equal(domains[0][0][:2], []string{"phone_mobile_search", "="}) {
			return refused("domain: %v", err)
		}
		if _, err := f.object(string(p.Args[6]), []string{"fields"}, []string{"limit", "order"}); err != nil {
			return refused("search: %v", err)
		}
		if domains[0][0][2] != known {
			return 200, `{"jsonrpc": "2.0", "id": 1, "result": []}`
		}
		return 200, `{"jsonrpc": "2.0", "id": 1, "result": [{"id": 4711, "display_name": "Zoë Müller", "user_id": [9101, "Anna"], "is_company": false}, {"id": 12, "display_name": "ACME", "user_id": false, "is_company": true}]}`
	case `"message_post"`:
		var ids [][]json.Number
		if err := json.Unmarshal(p.Args[5], &ids); err != nil || len(ids) != 1 || len(ids[0]) != 1 {
			return refused("ids: %v", err)
		}
		note, err := f.object(string(p.Args[6]), []string{"body"}, nil)
		if err != nil {
			return refused("note: %v", err)
		}
		return f.odooNote(r, ids[0][0].String(), str(note["body"]), `{"jsonrpc": "2.0", "id": 1, "result": 17}`)
	}
	return refused("no such method")
}
