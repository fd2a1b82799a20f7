package conf

import (
	"fmt"
	"slices"
	"strings"

	"ringhook/hooks"
	"ringhook/pops"
)

// pops checks [[pop]] and [getevent], and that they fit each other and the agents.
func (r *report) pops(c *Config, root *position, agents seen) {
	rules := make(seen)
	polled := false
	for i := range c.Pops {
		at, p := root.key("pop").item(i), &c.Pops[i]
		if !at.key("preset").wrong { // without it most of the rule is missing
			p.Check(r.in(at, "pop"))
		}
		r.once(rules, at.key("name"), "pop.name", p.Name)
		ways := append([]string{p.Open}, p.Else...)
		polled = polled || slices.Contains(ways, string(pops.GetEvent))
		for n, to := range p.To {
			if !slices.Contains(pops.Groups(), to) && agents[to] == nil {
				r.wrong(at.key("to").item(n), "pop.to", "%q is neither %s nor the id of an [[agent]]", to, oneOf(pops.Groups()))
			}
		}
		if c.Desk.Listen == "" && pops.Way(p.Open).NeedsDesk() && p.Open != "" {
			r.wrong(at.key("open"), "pop.open", "%q needs listen of [desk]", p.Open)
		}
		for _, way := range ways {
			hook := pops.Way(way).Hook()
			if hook != "" && !slices.ContainsFunc(c.Hooks, func(h hooks.Config) bool { return h.Name == hook }) {
				r.wrong(at.key("open"), "pop.open", "%q: there is no [[hook]] %q", way, hook)
			}
		}
		r.mixed(c, at, p)
		if slices.Contains(p.To, "members") && len(c.AMI) == 0 {
			r.wrong(at.key("to"), "pop.to", `"members" needs an [[ami]] table, which knows who is logged in to a queue`)
		}
		if p.Open == string(pops.GetEvent) && c.GetEvent.Path == "" {
			r.wrong(at.key("open"), "pop.open", `"getevent" needs the path of [getevent]`)
		}
	}
	c.Desk.Check(r.in(root.key("desk"), "desk"))
	at := root.key("getevent")
	c.GetEvent.Check(r.in(at, "getevent"))
	if c.GetEvent.Path != "" && !polled {
		r.wrong(at.key("path"), "getevent.path", `no [[pop]] has open = "getevent", so nothing would be reported`)
	}
}

func oneOf(names []string) string {
	text := ""
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			text += " or "
		default:
			text += ", "
		}
		text += fmt.Sprintf("%q", name)
	}
	return text
}

// mixed checks that a page in a frame is not on http while the desk is on https: browsers block it without a word.
func (r *report) mixed(c *Config, at *position, p *pops.Config) {
	if !strings.HasPrefix(c.Desk.URL, "https:") || p.Open != string(pops.Frame) && !slices.Contains(p.Else, string(pops.Frame)) {
		return
	}
	for _, page := range []struct{ key, url string }{{"url", p.URL}, {"found", p.Found}, {"not_found", p.NotFound}, {"several", p.Several}} {
		if strings.HasPrefix(strings.ToLower(page.url), "http:") {
			r.wrong(at.key(page.key), "pop."+page.key, "browsers show no http page in a frame of an https desk: use https, or open = \"window\"")
		}
	}
}
