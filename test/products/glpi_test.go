package products

import (
	"fmt"
	"net/http"
	"strings"
)

// glpi plays the API of GLPI 10 with an API client that has an application token.
func glpi(f *fake, r *request) (int, string) {
	const session = "83af7e620c83"
	if r.Header.Get("App-Token") != secret {
		return 400, `["ERROR_WRONG_APP_TOKEN_PARAMETER", "parameter app_token seems wrong"]`
	}
	if r.Method+" "+r.URL.Path == "GET /apirest.php/initSession" {
		if r.Header.Get("Authorization") != "user_token "+secret {
			return f.wrong(r, "user token")
		}
		return 200, `{"session_token": "` + session + `"}`
	}
	if r.Header.Get("Session-Token") != session {
		return 401, `["ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid"]`
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /apirest.php/search/User":
		q := r.URL.Query()
		for i, field := range []string{"6", "10", "11"} {
			at := fmt.Sprintf("criteria[%d]", i)
			if q.Get(at+"[field]") != field || q.Get(at+"[searchtype]") != "contains" || len(q.Get(at+"[value]")) != 8 || (q.Get(at+"[link]") == "OR") != (i > 0) {
				return f.wrong(r, "search")
			}
		}
		if !strings.Contains("+49 30 12345678", q.Get("criteria[0][value]")) { // as it was typed
			return 200, `{"totalcount": 0, "count": 0, "content-range": "0--1/0"}`
		}
		return 206, `{"totalcount": 4, "count": 1, "data": [{"1": "zoe", "2": 4711, "9": "Zoë", "34": "Müller"}], "content-range": "0-0/4"}`
	case "POST /apirest.php/Ticket":
		if r.Header.Get("Content-Type") != "application/json" {
			return f.wrong(r, "content type")
		}
		return f.glpiTicket(r)
	}
	return f.wrong(r, "no such request")
}

// glpiTicket plays the creation of a ticket.
func (f *fake) glpiTicket(r *request) (int, string) {
	v, err := f.object(r.body, []string{"input"}, nil)
	input, _ := v["input"].(map[string]any)
	for name, value := range input {
		if strings.HasPrefix(name, "_users_id_") && number(value) <= 0 || value == nil || value == "" {
			return f.wrong(r, "%s is empty", name)
		}
	}
	at := clock("2006-01-02 15:04:05", str(input["date"]))
	if err != nil || at.IsZero() || number(input["requesttypes_id"]) != 3 || number(input["type"]) != 2 || str(input["content"]) == "" || len(str(input["externalid"])) != 36 {
		return f.wrong(r, "ticket: %v", err)
	}
	_, phone, _ := strings.Cut(str(input["name"]), "+")
	e := entry{number: "+" + phone, customer: str(input["_users_id_requester"]), agent: phoneOf(str(input["_users_id_assign"])), answered: strings.HasPrefix(str(input["name"]), "Call"), started: at}
	text := strings.Split(str(input["content"]), ", ")
	if _, err := fmt.Sscanf(text[len(text)-1], "%d s.", &e.seconds); err != nil {
		return f.wrong(r, "content %q: %v", text, err)
	}
	f.add(e)
	return 201, `{"id": 15, "message": ""}`
}

// glpiLogin reports whether a request is that of a login.
func glpiLogin(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/initSession") }
