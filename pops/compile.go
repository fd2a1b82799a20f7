package pops

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"ringhook/hooks"
	"ringhook/httpclient"
)

// rule is a Config that is ready to use.
type rule struct {
	*Config
	when *hooks.Condition // nil without a condition
	// found, notFound and several are the pages by the lookup's result; nil for none.
	found, notFound, several *address
	title, titleNotFound     *hooks.Text
	except                   []excepted
	ways                     []Way
	uses                     []use
	unclosed                 []use // names behind a percent sign that no other closes
	mask                     *httpclient.Mask
}

// use is a parameter that a key names.
type use struct{ key, name string }

// problem is a setting that cannot be used.
type problem struct{ key, text string }

// Rules are the rules of a configuration in their order. They are immutable.
type Rules struct{ rules []*rule }

// Compile makes the rules of a configuration that Check accepts.
func Compile(cfgs []Config) (*Rules, error) {
	r := &Rules{}
	for i := range cfgs {
		compiled, problems := compile(&cfgs[i])
		if len(problems) > 0 {
			return nil, &Error{Rule: cfgs[i].Name, Key: problems[0].key, Problem: problems[0].text}
		}
		r.rules = append(r.rules, compiled)
	}
	return r, nil
}

// Error is a rule that cannot be used.
type Error struct{ Rule, Key, Problem string }

// Error returns the rule, the key and the problem.
func (e *Error) Error() string { return "pop " + e.Rule + ": " + e.Key + ": " + e.Problem }

// Any reports whether there is a rule.
func (r *Rules) Any() bool { return len(r.rules) > 0 }

// Names returns the names of the rules in their order.
func (r *Rules) Names() []string {
	names := make([]string, len(r.rules))
	for i, rule := range r.rules {
		names[i] = rule.Name
	}
	return names
}

// Frames returns the origins of the pages that are shown in frames, sorted.
func (r *Rules) Frames() []string {
	var origins []string
	for _, rule := range r.rules {
		if !slices.Contains(rule.ways, Frame) && !slices.Contains(rule.AgentMay, SettingOpen) {
			continue
		}
		for _, a := range []*address{rule.found, rule.notFound, rule.several} {
			if a == nil || a.own {
				continue
			}
			origin := a.fixed
			if a.ours {
				origin = "'self'"
			}
			if !slices.Contains(origins, origin) {
				origins = append(origins, origin)
			}
		}
	}
	slices.Sort(origins)
	return origins
}

// wantsMembers reports whether a rule of an event is for the members of its queue. All rules have pops on demand.
func (r *Rules) wantsMembers(event string) bool {
	return slices.ContainsFunc(r.rules, func(rule *rule) bool {
		return (event == OnDemand || slices.Contains(rule.Events, event)) && slices.Contains(rule.To, toMembers)
	})
}

// Moment reports whether a rule pops at an event of this name.
func (r *Rules) Moment(event string) bool {
	return slices.ContainsFunc(r.rules, func(rule *rule) bool { return slices.Contains(rule.Events, event) })
}

// compile makes what needs more than a look at one value, and reports what is wrong with it.
func compile(c *Config) (*rule, []problem) {
	mask := httpclient.MaskOf(&httpclient.Credentials{Environment: c.Environment}, []string{c.URL, c.Found, c.NotFound, c.Several}, nil,
		[]map[string]string{c.Params, c.Settings})
	b := &builder{rule: &rule{Config: c, ways: []Way{Way(c.Open)}, mask: mask}}
	r := b.rule
	for _, w := range c.Else {
		r.ways = append(r.ways, Way(w))
	}
	if c.When != "" {
		var err error
		if r.when, err = hooks.ParseCondition(c.When); err != nil {
			b.report("when", err.Error())
		} else {
			b.names("when", r.when.Names())
		}
	}
	all := b.address("url", c.URL)
	r.found, r.notFound = or(b.address("found", c.Found), all), or(b.address("not_found", c.NotFound), all)
	r.several = or(b.address("several", c.Several), r.notFound)
	r.title = b.text("title", c.Title)
	r.titleNotFound = r.title
	if c.TitleNotFound != "" {
		r.titleNotFound = b.text("title_not_found", c.TitleNotFound)
	}
	for _, s := range c.Except {
		r.except = append(r.except, exceptedOf(s))
	}
	return r, b.problems
}

func or(a, b *address) *address {
	if a != nil {
		return a
	}
	return b
}

type builder struct {
	rule     *rule
	problems []problem
}

func (b *builder) report(key, text string) { b.problems = append(b.problems, problem{key, text}) }

func (b *builder) names(key string, names []string) {
	for _, name := range names {
		b.rule.uses = append(b.rule.uses, use{key, name})
	}
}

func (b *builder) text(key, source string) *hooks.Text {
	t, err := hooks.ParseText(source, b.rule.Settings)
	if err != nil {
		b.report(key, err.Error())
		return nil
	}
	b.names(key, t.Names())
	for _, name := range t.Unclosed() {
		b.rule.unclosed = append(b.rule.unclosed, use{key, name})
	}
	return t
}

// address compiles a URL with the rule's params in its query.
func (b *builder) address(key, source string) *address {
	if source == "" {
		return nil
	}
	whole := withParams(source, b.rule.Params)
	if err := httpclient.CheckPercent(whole); err != nil {
		b.report(key, err.Error())
		return nil
	}
	t := b.text(key, whole)
	if t == nil {
		return nil
	}
	a, err := parseAddress(source, t, slices.Contains(b.rule.ways, Scheme))
	if err != nil {
		b.report(key, err.Error())
	}
	return a
}

// withParams adds parameters to the query of a URL.
func withParams(source string, params map[string]string) string {
	if len(params) == 0 {
		return source
	}
	rest, fragment, hasFragment := strings.Cut(source, "#")
	var b strings.Builder
	b.WriteString(rest)
	separator := "?"
	if strings.Contains(rest, "?") {
		separator = "&"
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		b.WriteString(separator + escape(name) + "=" + params[name])
		separator = "&"
	}
	if hasFragment {
		b.WriteString("#" + fragment)
	}
	return b.String()
}

// Page is one of the pages of a rule, with the values of an event.
type Page struct {
	Kind  string // url, found, not_found or several
	URL   string
	Title string
	Err   error // why it would not open
}

// Pages returns the pages of a rule, filled in with an event. found is false if there is no rule of that name.
func (r *Rules) Pages(name string, ev *hooks.Event) (list []Page, found bool) {
	for _, rule := range r.rules {
		if rule.Name != name {
			continue
		}
		add := func(kind, source string, a *address, title *hooks.Text) {
			if source == "" || a == nil {
				return
			}
			p := Page{Kind: kind, Title: Clean(title.Fill(ev, nil), maxTitle)}
			p.URL, p.Err = a.fill(ev)
			list = append(list, p)
		}
		add("found", cmp.Or(rule.Config.Found, rule.URL), rule.found, rule.title)
		add("not_found", cmp.Or(rule.Config.NotFound, rule.URL), rule.notFound, rule.titleNotFound)
		add("several", rule.Config.Several, rule.several, rule.title)
		return list, true
	}
	return nil, false
}

// NamesFor returns the names of the rules that may be for an agent.
func (r *Rules) NamesFor(agent string, supervisor bool) (names []string) {
	for _, rule := range r.rules {
		if slices.ContainsFunc(rule.To, func(to string) bool {
			return to == toAgent || to == toMembers || to == agent || to == toSupervisors && supervisor
		}) {
			names = append(names, rule.Name)
		}
	}
	return names
}
