package desk

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ringhook/desk/framing"
	"ringhook/dialplan"
	"ringhook/pops"
)

// askTime is the time in which a page must answer whether it may be framed.
const askTime = 5 * time.Second

// carried is one value of a URL.
type carried struct{ Name, Raw, Value string }

// shownPage is a page of a rule with the values that it would get.
type shownPage struct {
	Kind, URL, Title, Problem string
	Values                    []carried
	Framing                   string // empty if it was not asked
	Good                      bool
}

// varsView is what the template shows.
type varsView struct {
	view
	Rule   string
	Sample bool // the values are those of a sample, because the agent has no call now
	Pages  []shownPage
	Values []carried
	Query  string
	Asked  bool
}

// maxValues is the maximum number of values that are shown.
const maxValues = 200

// valuesOf returns the values of a query in their order.
func valuesOf(query string) (list []carried) {
	for _, part := range strings.Split(query, "&") {
		if part == "" || len(list) == maxValues {
			continue
		}
		name, raw, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(raw)
		if err != nil {
			value = raw
		}
		if read, err := url.QueryUnescape(name); err == nil {
			name = read
		}
		list = append(list, carried{pops.Clean(name, 200), raw, pops.Clean(value, 2000)})
	}
	return list
}

// showVars shows what the URL of a rule carries that has show_vars as its page. It is the only page that may be framed, by
// the desk alone.
func (d *Desk) showVars(w http.ResponseWriter, r *http.Request) {
	me, err := d.visitor(r)
	if err != nil || me == nil {
		http.Redirect(w, r, "/desk/", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Security-Policy", strings.Replace(d.current.Load().csp, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
	d.showTemplate(w, r, "vars.html", &varsView{Values: valuesOf(r.URL.RawQuery), Query: pops.Clean(r.URL.RawQuery, 4000)})
}

// showRule shows the pages of a rule with the values of the agent's call, or of a sample, and whether they may be framed.
func (d *Desk) showRule(w http.ResponseWriter, r *http.Request) {
	me, err := d.visitor(r)
	if err != nil || me == nil {
		http.Redirect(w, r, "/desk/", http.StatusSeeOther)
		return
	}
	rules, name := d.live.Rules(), r.PathValue("rule")
	ev := d.live.Latest(me.agent.ID)
	v := &varsView{Rule: name, Sample: ev == nil, Asked: r.URL.Query().Get("ask") != ""}
	if ev == nil {
		if ev, err = dialplan.Sample("agent-answer", time.Now()); err != nil {
			d.limited.Error("sample", "bug: no sample event", "err", err)
			http.Error(w, "internal error; the log has the reason", http.StatusInternalServerError)
			return
		}
		ev.Params["agent_id"], ev.Params["agent_phone"], ev.Params["agent_name"] = me.agent.ID, me.agent.Phone, me.agent.Name
	}
	if !slices.Contains(rules.NamesFor(me.agent.ID, me.agent.Role != dialplan.RoleAgent && me.agent.Role != ""), name) {
		http.Error(w, "no such rule", http.StatusNotFound)
		return
	}
	pages, _ := rules.Pages(name, ev)
	for _, p := range pages {
		v.Pages = append(v.Pages, d.shown(p, v.Asked))
	}
	d.showTemplate(w, r, "vars.html", v)
}

func (d *Desk) shown(p pops.Page, ask bool) shownPage {
	s := shownPage{Kind: p.Kind, URL: p.URL, Title: p.Title}
	if p.Err != nil {
		s.Problem = p.Err.Error()
		return s
	}
	_, query, _ := strings.Cut(p.URL, "?")
	query, _, _ = strings.Cut(query, "#")
	s.Values = valuesOf(query)
	if ask && (strings.HasPrefix(p.URL, "http://") || strings.HasPrefix(p.URL, "https://")) {
		result := framing.Ask(p.URL, d.current.Load().Config.URL, time.Now().Add(askTime))
		s.Framing, s.Good = result.String(), result.Known && result.Allowed
	}
	return s
}

// confirmCall shows the agent's page with a number to call, which a link of the type tel brought: a request that dials is
// never a GET.
func (d *Desk) confirmCall(w http.ResponseWriter, r *http.Request) {
	number := pops.Clean(strings.TrimPrefix(r.URL.Query().Get("n"), "tel:"), 64)
	http.Redirect(w, r, "/desk/#call="+url.QueryEscape(number), http.StatusSeeOther)
}

// schemeFile returns a file for Windows that has a program open the URLs of a scheme. The path of the program is an example.
func (d *Desk) schemeFile(w http.ResponseWriter, r *http.Request) {
	_, _, schemes := d.live.May()
	scheme := r.URL.Query().Get("scheme")
	me, err := d.visitor(r)
	if err != nil || me == nil || !slices.Contains(schemes, scheme) {
		http.Error(w, "no such scheme", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+scheme+`.reg"`)
	origin := strings.TrimSuffix(d.current.Load().Config.URL, "/")
	lines := []string{
		"Windows Registry Editor Version 5.00", "",
		`; Change the path to that of the program.`,
		`[HKEY_CURRENT_USER\Software\Classes\` + scheme + `]`, `@="URL:` + scheme + `"`, `"URL Protocol"=""`, "",
		`[HKEY_CURRENT_USER\Software\Classes\` + scheme + `\shell\open\command]`,
		`@="\"C:\\Program Files\\Program\\program.exe\" \"%1\""`, "",
		"; The desk opens such URLs without a question. Chrome:",
		`[HKEY_CURRENT_USER\Software\Policies\Google\Chrome]`,
		`"AutoLaunchProtocolsFromOrigins"="[{\"allowed_origins\":[\"` + origin + `\"],\"protocol\":\"` + scheme + `\"}]"`, "",
		"; Edge:",
		`[HKEY_CURRENT_USER\Software\Policies\Microsoft\Edge]`,
		`"AutoLaunchProtocolsFromOrigins"="[{\"allowed_origins\":[\"` + origin + `\"],\"protocol\":\"` + scheme + `\"}]"`, "",
	}
	_, _ = w.Write([]byte(strings.Join(lines, "\r\n")))
}
