package conf

import (
	"maps"
	"slices"
	"strconv"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// accounts checks [[account]] and [[agents]], and returns the names of the accounts.
func (r *report) accounts(c *Config, root *position) seen {
	accounts, lists := make(seen), make(seen)
	for i := range c.Shared {
		at := root.key("account").item(i)
		c.Shared[i].Check(r.in(at, "account"))
		r.once(accounts, at.key("name"), "account.name", c.Shared[i].Name)
	}
	for i := range c.Lists {
		at := root.key("agents").item(i)
		c.Lists[i].Check(r.in(at, "agents"))
		r.once(lists, at.key("name"), "agents.name", c.Lists[i].Name)
		r.account(accounts, at, "agents", c.Lists[i].Account)
	}
	return accounts
}

// account checks that a table names an account that there is.
func (r *report) account(accounts seen, at *position, table, name string) {
	if name != "" && accounts[name] == nil {
		r.wrong(at.key("account"), table+".account", "there is no [[account]] with the name %s", strconv.Quote(name))
	}
}

// clicks checks [[click_from]] and [recordings]. servers are the names of the [[ami]] tables.
func (r *report) clicks(c *Config, root *position, servers seen) {
	clicks := make(seen)
	for i := range c.Clicks {
		at := root.key("click_from").item(i)
		if !at.key("preset").wrong {
			c.Clicks[i].Check(r.in(at, "click_from"))
		}
		r.once(clicks, at.key("name"), "click_from.name", c.Clicks[i].Name)
		switch server := c.Clicks[i].Server; {
		case len(c.AMI) == 0:
			r.wrong(at.key("name"), "click_from.name", "needs an [[ami]] table: calls are begun by the manager interface")
		case server != "" && servers[server] == nil:
			r.wrong(at.key("server"), "click_from.server", "there is no [[ami]] with the name %s", strconv.Quote(server))
		}
		for _, name := range slices.Sorted(maps.Keys(c.Clicks[i].Params)) {
			if problem := dialplan.CheckExpected(name); problem != "" {
				r.wrong(at.key("params").key(name), "click_from.params."+name, "%s", problem)
			}
		}
	}
	c.Recordings.Check(r.in(root.key("recordings"), "recordings"))
	uploads := slices.ContainsFunc(c.Hooks, func(h hooks.Config) bool { return h.Uploads() })
	if c.Recordings.Serves() && c.Desk.Listen == "" && !uploads {
		r.wrong(root.key("recordings").key("folder"), "recordings.folder", "needs listen of [desk], whose port serves the recordings; or set url, if another server does, or send them with file of a [[hook]]")
	}
}
