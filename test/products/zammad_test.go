package products

import (
	"net/http"
	"slices"
	"strings"
)

// zammad plays Zammad with Elasticsearch and the integration CTI (generic).
func zammad(f *fake, r *request) (int, string) {
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v1/users/search":
		q := r.URL.Query().Get("query")
		if r.Header.Get("Authorization") != "Token token="+secret || !strings.HasPrefix(q, "phone:(") || !strings.Contains(q, " OR mobile:(") {
			return f.wrong(r, "search %q", q)
		}
		// A phrase finds the words of a number as it was typed, here +49 30 12345678.
		if !strings.Contains(q, `"+49 30 12345678"`) || !strings.Contains(q, `"`+strings.TrimPrefix(known, "+")+`"`) {
			return 200, `[]`
		}
		return 200, `[{"id": 4711, "firstname": "Zoë", "lastname": "Müller", "login": "zoe@acme.example", "phone": "+49 30 12345678"}]`
	case "POST /api/v1/cti/" + secret:
		return f.zammadCall(r)
	case "POST /api/v1/cti/" + strings.TrimPrefix(r.URL.Path, "/api/v1/cti/"):
		return 401, `{"error": "Invalid token, please contact your admin!"}`
	}
	return f.wrong(r, "no such request")
}

// zammadCall plays an event of a call. It refuses what Zammad would log in a wrong way, too.
func (f *fake) zammadCall(r *request) (int, string) {
	v, err := f.object(r.body, []string{"event", "callId", "direction", "from", "to"}, []string{"user", "queue", "cause", "answeringNumber"})
	event, id, out := v["event"], str(v["callId"]), v["direction"] == "out"
	user, _ := strings.CutPrefix(str(v["user"]), "Agent ")
	causes := []any{"normalClearing", "busy", "cancel", "noAnswer", "congestion", "notFound", "forwarded"}
	switch {
	case err != nil || r.Header.Get("Content-Type") != "application/json":
		return f.wrong(r, "call: %v", err)
	case !out && v["direction"] != "in" || strings.Contains(str(v["from"])+str(v["to"]), "+"):
		return f.wrong(r, "direction or numbers")
	case (event == "hangup") != slices.Contains(causes, v["cause"]):
		return f.wrong(r, "cause")
	case out && event == "answer" && v["user"] != nil:
		return f.wrong(r, "the user would stand in the log in place of the customer")
	}
	i := slices.IndexFunc(f.entries, func(e entry) bool { return e.key == id })
	switch {
	case event == "newCall" && i >= 0:
		if r.Header.Get("Accept") != "application/json" {
			return http.StatusInternalServerError, "<h1>500: We're sorry, but something went wrong.</h1>"
		}
		return http.StatusInternalServerError, `{"error": "Object already exists!", "error_human": "Object already exists!"}`
	case event == "newCall":
		e := entry{key: id, out: out, number: "+" + str(v["from"])}
		if out {
			e.number, e.agent = "+"+str(v["to"]), user
		}
		if e.number == known {
			e.customer = customerID
		}
		f.entries = append(f.entries, e)
	case i < 0:
		return f.wrong(r, "no such call_id")
	case event == "answer":
		f.entries[i].answered = true
		if !out && f.entries[i].agent == "" {
			f.entries[i].agent = user
			f.shown = append(f.shown, str(v["answeringNumber"]))
		}
	case event == "hangup":
		if f.entries[i].answered != (v["cause"] == "normalClearing") {
			return f.wrong(r, "cause %s of a call with answered %v", v["cause"], f.entries[i].answered)
		}
	default:
		return f.wrong(r, "event")
	}
	return 200, `{}`
}
