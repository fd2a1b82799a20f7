package products

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	dolibarrFilter    = regexp.MustCompile(`^\(t\.phone:like:'([^()']+)'\) or \(t\.phone_mobile:like:'([^()']+)'\) or \(t\.phone_perso:like:'([^()']+)'\)$`)
	dolibarrCondition = regexp.MustCompile(`^([0-9]+) s, (.*)$`)
)

// dolibarr plays Dolibarr's REST API.
func dolibarr(f *fake, r *request) (int, string) {
	if r.Header.Get("DOLAPIKEY") != secret {
		return 401, `{"error": {"code": 401, "message": "Unauthorized: Failed to login to API"}}`
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/index.php/contacts":
		found := dolibarrFilter.FindStringSubmatch(r.URL.Query().Get("sqlfilters"))
		if found == nil || found[1] != found[2] || found[2] != found[3] {
			return f.wrong(r, "filter %q", r.URL.Query().Get("sqlfilters"))
		}
		like := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(found[1]), "%", ".*") + "$")
		if !like.MatchString("+49 (0)30 / 12345678") {
			return 404, `{"error": {"code": 404, "message": "Not Found: Contacts not found"}}`
		}
		return 200, `[{"id": "4711", "socid": "12", "firstname": "Zoë", "lastname": "Müller", "phone_pro": "+49 (0)30 / 12345678"}]`
	case "POST /api/index.php/agendaevents":
		return f.dolibarrEvent(r)
	}
	return f.wrong(r, "no such request")
}

// dolibarrEvent plays the creation of an event of the agenda.
func (f *fake) dolibarrEvent(r *request) (int, string) {
	v, err := f.object(r.body, []string{"type_code", "label", "datep", "datef", "percentage", "userownerid", "note_private"}, []string{"socid", "contact_id"})
	at, end := int64(number(v["datep"])), int64(number(v["datef"]))
	note := dolibarrCondition.FindStringSubmatch(str(v["note_private"]))
	if err != nil || v["type_code"] != "AC_TEL" || end < at || number(v["percentage"]) != 100 || note == nil || (v["socid"] == nil) != (v["contact_id"] == nil) {
		return f.wrong(r, "event: %v", err)
	}
	label, phone, _ := strings.Cut(str(v["label"]), "+")
	e := entry{out: strings.HasSuffix(label, " to "), number: "+" + phone, customer: str(v["contact_id"]), agent: phoneOf(str(v["userownerid"])),
		answered: strings.HasPrefix(label, "Call "), started: time.Unix(at, 0).UTC()}
	fmt.Sscan(note[1], &e.seconds)
	if e.agent == "" && (e.answered || str(v["userownerid"]) != "1") || e.seconds > 0 && !e.answered {
		return f.wrong(r, "owner or seconds")
	}
	f.add(e)
	return 200, `17`
}
