package products

import (
	"fmt"
	"strings"
)

// chatwoot plays Chatwoot with an API inbox.
func chatwoot(f *fake, r *request) (int, string) {
	if r.Header.Get("Api-Access-Token") != secret { // nginx drops api_access_token
		return 401, `{"error": "Invalid Access Token"}`
	}
	const base = "/api/v1/accounts/1/"
	switch r.Method + " " + r.URL.Path {
	case "GET " + base + "contacts/search":
		q := r.URL.Query()
		if len(q) != 1 || !strings.HasPrefix(q.Get("q"), "+") {
			return f.wrong(r, "search")
		}
		switch id := f.ids[q.Get("q")]; {
		case id != "":
			return 200, fmt.Sprintf(`{"meta": {"count": 1}, "payload": [{"id": %s, "name": %q, "phone_number": %q}]}`, id, q.Get("q"), q.Get("q"))
		case q.Get("q") == known:
			return 200, `{"meta": {"count": 1}, "payload": [{"id": 4711, "name": "Zoë Müller", "phone_number": "+493012345678"}]}`
		}
		return 200, `{"meta": {"count": 0}, "payload": []}`
	case "POST " + base + "contacts":
		v, err := f.object(r.body, []string{"inbox_id", "name", "phone_number"}, nil)
		phone := str(v["phone_number"])
		if err != nil || number(v["inbox_id"]) != 7 || !strings.HasPrefix(phone, "+") {
			return f.wrong(r, "contact: %v", err)
		}
		if f.ids[phone] != "" || phone == known {
			return 422, `{"message": "Phone number has already been taken", "attributes": ["phone_number"]}`
		}
		f.ids[phone] = "5000"
		return 200, `{"payload": {"contact": {"id": 5000}, "contact_inbox": {"source_id": "x"}}}`
	case "POST " + base + "conversations":
		return f.chatwootMessage(r)
	}
	return f.wrong(r, "no such request")
}

// chatwootMessage plays a conversation with its first message.
func (f *fake) chatwootMessage(r *request) (int, string) {
	v, err := f.object(r.body, []string{"inbox_id", "contact_id", "source_id", "status", "message"}, []string{"assignee_id"})
	contact := str(v["contact_id"])
	message, _ := v["message"].(map[string]any)
	text := str(message["content"])
	incoming := message["message_type"] == "incoming"
	switch {
	case err != nil || number(v["inbox_id"]) != 7 || v["source_id"] != "ringhook-"+contact || len(message) != 3:
		return f.wrong(r, "conversation: %v", err)
	case contact != customerID && contact != f.ids[unknown]:
		return f.wrong(r, "no such contact")
	case !incoming && message["message_type"] != "outgoing" || message["private"] != !incoming:
		return f.wrong(r, "a message of the type %s that is private: %v", message["message_type"], message["private"])
	case v["status"] != "open" && v["status"] != "resolved":
		return f.wrong(r, "status")
	}
	parts := strings.Split(text, ", ")
	if len(parts) != 4 {
		return f.wrong(r, "content %q", text)
	}
	e := entry{out: !incoming, agent: phoneOf(str(v["assignee_id"])), started: clock("2006-01-02 15:04 MST", parts[1])}
	if _, e.number, _ = strings.Cut(parts[0], "+"); e.number != "" {
		e.number = "+" + e.number
	}
	if contact == customerID {
		e.customer = customerID
	}
	if _, err := fmt.Sscanf(parts[3], "%d s", &e.seconds); err != nil || e.started.IsZero() {
		return f.wrong(r, "content %q: %v", text, err)
	}
	e.answered = e.seconds > 0 || !e.out && v["status"] == "resolved"
	if !e.out && e.answered && v["status"] != "resolved" {
		return f.wrong(r, "status %s", v["status"])
	}
	f.add(e)
	return 200, `{"id": 17, "account_id": 1, "inbox_id": 7, "status": "open"}`
}
