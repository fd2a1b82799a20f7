package products

import (
	"strings"
)

// service1C plays the HTTP service of contrib/1c, published with basic authentication.
func service1C(f *fake, r *request) (int, string) {
	if user, password, _ := r.BasicAuth(); user != "ringhook" || password != secret {
		return 401, ""
	}
	id, call := strings.CutPrefix(r.URL.Path, "/base/hs/ringhook/calls/")
	switch {
	case r.Method+" "+r.URL.Path == "GET /base/hs/ringhook/contact":
		digits := strings.TrimPrefix(r.URL.Query().Get("phone"), "+")
		if len(digits) < 7 || len(r.URL.Query()) != 1 {
			return f.wrong(r, "phone")
		}
		if !strings.HasSuffix(known, digits[len(digits)-10:]) {
			return 404, ""
		}
		return 200, `{"id": "4711", "name": "Zoë Müller", "manager": "101"}`
	case r.Method == "PUT" && call && len(id) == 36:
		v, err := f.object(r.body, []string{"direction", "phone", "started", "seconds", "answered"}, []string{"customer", "agent", "queue", "recording"})
		at := clock("2006-01-02T15:04:05", str(v["started"]))
		answered, isBool := v["answered"].(bool)
		if err != nil || at.IsZero() || !isBool || v["direction"] != "incoming" && v["direction"] != "outgoing" || number(v["seconds"]) < 0 {
			return f.wrong(r, "call: %v", err)
		}
		f.add(entry{key: id, out: v["direction"] == "outgoing", number: str(v["phone"]), customer: str(v["customer"]), agent: str(v["agent"]),
			answered: answered, seconds: number(v["seconds"]), started: at})
		return 200, `{"stored": true}`
	}
	return f.wrong(r, "no such request")
}
