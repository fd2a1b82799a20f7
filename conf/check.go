package conf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ringhook/api"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/store"
)

// check lets every room check its own settings, and checks what concerns several of
// them: unique names, existing points, and values that must fit each other.
func (r *report) check(c *Config, root *position) {
	c.FastAGI.Check(r.in(root.key("fastagi"), "fastagi"))
	c.HTTP.Check(r.in(root.key("http"), "http"))
	c.Yemot.Check(r.in(root.key("yemot"), "yemot"), api.Paths...)
	c.Log.Check(r.in(root.key("log"), "log"))
	c.Store.Check(r.in(root.key("store"), "store"))
	if c.Store.Type == store.Postgres && c.Store.DSN != "" {
		if err := pgstore.CheckDSN(c.Store.DSN); err != nil {
			r.in(root.key("store"), "store")("dsn", err.Error())
		}
	}
	c.Number.Check(r.in(root.key("number"), "number"))
	c.Dialplan.Check(r.in(root.key("dialplan"), "dialplan"))
	if c.Dialplan.MaxCall >= c.Store.KeepCalls {
		r.in(root.key("dialplan"), "dialplan")("max_call", fmt.Sprintf("must be shorter than store.keep_calls (%s): a call that was removed cannot be ended", c.Store.KeepCalls))
	}

	ids, phones, agents := make(seen), make(seen), make(seen)
	for i := range c.Queues {
		at := root.key("queue").item(i)
		c.Queues[i].Check(r.in(at, "queue"))
		r.once(ids, at.key("id"), "queue.id", c.Queues[i].ID)
	}
	for i := range c.Agents {
		at := root.key("agent").item(i)
		c.Agents[i].Check(r.in(at, "agent"))
		r.once(agents, at.key("id"), "agent.id", c.Agents[i].ID)
		r.once(phones, at.key("phone"), "agent.phone", c.Agents[i].Phone)
	}
	accounts := r.accounts(c, root)
	lookups, receivers := make(seen), make(seen)
	for i := range c.Lookups {
		at := root.key("lookup").item(i)
		if !at.key("preset").wrong { // without it most of the lookup is missing
			c.Lookups[i].Check(r.in(at, "lookup"))
		}
		r.once(lookups, at.key("name"), "lookup.name", c.Lookups[i].Name)
		r.points(at.key("points"), "lookup.points", c.Lookups[i].Points, dialplan.Points())
		r.mapped(c, at, &c.Lookups[i])
		r.account(accounts, at, "lookup", c.Lookups[i].Account)
	}
	r.budget(c, root)
	for i := range c.Hooks {
		at := root.key("hook").item(i)
		if !at.key("preset").wrong { // without it most of the hook is missing
			c.Hooks[i].Check(r.in(at, "hook"))
			r.remembered(at, &c.Hooks[i])
			r.follows(c, at, &c.Hooks[i])
		}
		r.once(receivers, at.key("name"), "hook.name", c.Hooks[i].Name)
		r.account(accounts, at, "hook", c.Hooks[i].Account)
	}
	r.placeholders(c, root)
	pauses := make(seen)
	for i := range c.Pauses {
		at := root.key("pause").item(i)
		c.Pauses[i].Check(r.in(at, "pause"))
		r.once(pauses, at.key("name"), "pause.name", c.Pauses[i].Name)
	}
	r.pops(c, root, agents)
	for i := range c.Dials {
		c.Dials[i].Check(r.in(root.key("dial").item(i), "dial"))
	}
	c.Click.Check(r.in(root.key("click"), "click"))
	c.Campaign.Check(r.in(root.key("campaign"), "campaign"))
	c.Accounts.Check(r.in(root.key("accounts"), "accounts"))
	servers := make(seen)
	for i := range c.AMI {
		at := root.key("ami").item(i)
		c.AMI[i].Check(r.in(at, "ami"))
		r.once(servers, at.key("name"), "ami.name", c.AMI[i].Name)
		r.points(at.key("points"), "ami.points", c.AMI[i].Points, dialplan.ReportablePoints())
	}
	r.clicks(c, root, servers)
}

// remembered checks that no remembered value has the name of a parameter, which would win.
func (r *report) remembered(at *position, h *hooks.Config) {
	check := func(key string, names map[string]string) {
		for name := range names {
			if slices.Contains(dialplan.Parameters(), name) {
				r.in(at, "hook")(key, fmt.Sprintf("%q is a parameter of calls: choose another name", name))
			}
		}
	}
	check("remember", h.Remember)
	for event, own := range h.On {
		check("on."+event+".remember", own.Remember)
	}
}

// follows checks what a hook has of other tables: values that another hook remembers, and recordings.
func (r *report) follows(c *Config, at *position, h *hooks.Config) {
	if by := h.RememberedBy; by != "" {
		n := slices.IndexFunc(c.Hooks, func(other hooks.Config) bool { return other.Name == by && other.Name != h.Name })
		if n < 0 {
			r.wrong(at.key("remembered_by"), "hook.remembered_by", "there is no other [[hook]] with the name %s", strconv.Quote(by))
		} else if len(c.Hooks[n].Remembers()) == 0 {
			r.wrong(at.key("remembered_by"), "hook.remembered_by", "the hook %s remembers nothing", strconv.Quote(by))
		}
	}
	if h.Uploads() && c.Recordings.Folder == "" {
		r.wrong(at.key("file"), "hook.file", "the hook sends recordings: set folder of [recordings]")
	}
}

// remembers returns the names of the remembered values that the requests of a hook may use.
func (c *Config) remembers(h *hooks.Config) []string {
	for i := range c.Hooks {
		if h.RememberedBy != "" && c.Hooks[i].Name == h.RememberedBy {
			return c.Hooks[i].Remembers()
		}
	}
	return h.Remembers()
}

// mapped checks that [dialplan] variables allows every variable that an answer sets.
func (r *report) mapped(c *Config, at *position, l *lookup.Config) {
	for _, name := range slices.Sorted(maps.Keys(l.Map)) {
		if problem := c.Dialplan.CheckName(name); problem != "" {
			r.wrong(at.key("map").key(name), "lookup.map."+name, "%s", problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Then.Map)) {
		if problem := c.Dialplan.CheckName(name); problem != "" {
			r.wrong(at.dotted("then.map").key(name), "lookup.then.map."+name, "%s", problem)
		}
	}
	if l.Variable != "" {
		if problem := c.Dialplan.CheckName(l.Variable); problem != "" {
			r.wrong(at.key("variable"), "lookup.variable", "%s", problem)
		}
	}
}

// placeholders reports those that are not closed, as in %callerid, or not in small
// letters: the receiver would get the name in place of the value.
func (r *report) placeholders(c *Config, root *position) {
	known := parameters(c)
	check := func(table string, i int, more []string, unclosed func(func(key, name string))) {
		unclosed(func(key, word string) {
			name := strings.ToLower(word)
			if slices.Contains(known, name) || slices.Contains(more, name) {
				r.in(root.key(table).item(i), table)(key, fmt.Sprintf("%%%s is a placeholder that is not closed or not in small letters: write %%%s%%", word, name))
			}
		})
	}
	for i := range c.Lookups {
		check("lookup", i, slices.Concat(dialplan.Arguments(), []string{"callerid_all"}, slices.Collect(maps.Keys(c.Lookups[i].Settings))), c.Lookups[i].Unclosed)
	}
	for i := range c.Pops {
		check("pop", i, slices.Collect(maps.Keys(c.Pops[i].Settings)), c.Pops[i].Unclosed)
	}
	for i := range c.Hooks {
		check("hook", i, slices.Concat(slices.Collect(maps.Keys(c.Hooks[i].Settings)), c.remembers(&c.Hooks[i])), c.Hooks[i].Unclosed)
	}
}

// budget checks that at least one lookup can answer within the budget of a call.
func (r *report) budget(c *Config, root *position) {
	shortest := c.FastAGI.Budget
	for i := range c.Lookups {
		if i == 0 || c.Lookups[i].Timeout < shortest {
			shortest = c.Lookups[i].Timeout
		}
	}
	if shortest > c.FastAGI.Budget {
		r.in(root.key("fastagi"), "fastagi")("budget", fmt.Sprintf("%s is shorter than every lookup's timeout, the shortest of which is %s: no call would wait for an answer", c.FastAGI.Budget, shortest))
	}
}

// in returns the function by which a room reports a wrong value of its table. A value
// that could not be decoded is already reported, and the room saw its default instead.
func (r *report) in(table *position, name string) func(key, problem string) {
	return func(key, problem string) {
		if at := table.dotted(key); !at.wrong {
			r.mistakes = append(r.mistakes, Mistake{at.file, at.line, name + "." + key, problem})
		}
	}
}

// seen maps each name to its first position.
type seen map[string]*position

// once reports a name that is used twice.
func (r *report) once(names seen, at *position, key, name string) {
	if name == "" || at.wrong {
		return
	}
	if first := names[name]; first != nil {
		where := fmt.Sprintf("on line %d", first.line)
		if first.file != at.file {
			where = fmt.Sprintf("in %s:%d", first.file, first.line)
		}
		r.wrong(at, key, "%q is already used %s; each needs its own", name, where)
		return
	}
	names[name] = at
}

// points reports names that are not points of the dialplan.
func (r *report) points(at *position, key string, names, known []string) {
	for i, name := range names {
		if item := at.item(i); !item.wrong && !slices.Contains(known, name) {
			r.wrong(item, key, "%q is not a point; %s", name, nearest("points", strings.TrimPrefix(name, "/"), known))
		}
	}
}
