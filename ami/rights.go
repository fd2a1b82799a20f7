package ami

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// The least rights with which ringhook works. Write=system is not among them: with it MixMonitor runs any command as
// Asterisk's user.
var (
	LeastRead  = []string{"system", "call", "agent"}
	leastWrite = []string{"agent", "call", "originate", "reporting"}
)

// Use is what a configuration uses of Asterisk that needs more than the least rights.
type Use struct {
	Accounts bool // SIP accounts are created
	Notify   bool // an agent's phone is asked by NOTIFY to hold its call
}

// Write returns the least write rights.
func (u Use) Write() []string {
	write := slices.Clone(leastWrite)
	for _, p := range u.purposes() {
		write = append(write, p.class)
	}
	return write
}

// purposes are what each further write right is needed for.
func (u Use) purposes() (list []struct{ class, purpose string }) {
	if u.Accounts {
		list = append(list, struct{ class, purpose string }{"config", "SIP accounts: [accounts]"})
	}
	if u.Notify {
		list = append(list, struct{ class, purpose string }{"system", "hold by the phone: [[agent]] hold = \"notify\""})
	}
	return list
}

// purposes are what each right is needed for. A write right shows in an action that is available.
var purposes = []struct{ kind, class, action, purpose string }{
	{"read", "system", "", "to know when Asterisk has started"},
	{"read", "call", "", "live calls"},
	{"read", "agent", "", "live queues"},
	{"write", "reporting", "CoreShowChannels", "live calls: the list after a connect and every minute; whether a number is withheld, which counts as withheld where it cannot be read"},
	{"write", "call", "Setvar", "parked calls, late answers, and commands for calls"},
	{"write", "agent", "QueuePause", "commands for agents: log in, log out, pause"},
	{"write", "originate", "Originate", "click to call"},
}

// dangers are rights that an account should not have.
var dangers = map[string]string{
	"system":  "runs any command as Asterisk's user; only phones with hold = \"notify\" need it",
	"command": "runs any command of Asterisk's console",
	"config":  "reads and writes Asterisk's configuration, passwords among it; only [accounts] needs it",
}

// Rights describes what the account of a configuration may do.
type Rights struct {
	Version string   // of the protocol
	Local   string   // the address that Asterisk sees
	Read    []string // nil if unknown
	Write   []string // classes that at least one action needs alone
	actions map[string]bool
}

// Gap is a right that is missing or too much.
type Gap struct {
	Right   string // as manager.conf has it, such as read=call
	Purpose string // what it is needed for, or what it allows
}

// Inspect logs in and returns what the account may do. Asterisk has no action for that: write rights
// are seen in the actions that it offers, read rights in manager.conf, if the
// account may read a variable.
func Inspect(ctx context.Context, cfg Config) (*Rights, error) {
	c, err := New(cfg, nil, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		return nil, err
	}
	var r *Rights
	err = c.Once(ctx, func(ctx context.Context) (err error) {
		r, err = c.rights(ctx)
		return err
	})
	return r, err
}

func (c *Client) rights(ctx context.Context) (*Rights, error) {
	s := c.actions.Load()
	r := &Rights{Version: s.version, Local: s.conn.LocalAddr().String(), actions: map[string]bool{}}
	commands, err := c.Do(ctx, Action{Name: "ListCommands"})
	if err != nil {
		return nil, err
	}
	value, err := c.accountRead(ctx)
	if err != nil && !errors.As(err, new(*RejectedError)) {
		return nil, err
	}
	r.take(commands, value)
	return r, nil
}

// take reads the rights from the actions that Asterisk offers, and from the value of read in manager.conf.
func (r *Rights) take(commands Message, read string) {
	for _, f := range commands {
		_, privileges, ok := strings.Cut(f.Value, "(Priv: ")
		if !ok {
			continue
		}
		r.actions[f.Key] = true
		// "call,all" proves call; "system,call,all" does not say which of the two it is.
		classes := strings.Split(strings.TrimSuffix(privileges, ")"), ",")
		if len(classes) == 2 && classes[0] != "" && classes[1] == "all" && !slices.Contains(r.Write, classes[0]) {
			r.Write = append(r.Write, classes[0])
		}
	}
	slices.Sort(r.Write)
	for class := range strings.SplitSeq(read, ",") {
		if class = strings.TrimSpace(class); class != "" {
			r.Read = append(r.Read, class)
		}
	}
}

// accountRead returns the read rights of an account in manager.conf, or "" if it has no such
// section. The name passed Config.Check, so it cannot end the function's argument.
func (c *Client) accountRead(ctx context.Context) (string, error) {
	m, err := c.Do(ctx, Action{"Getvar", []Field{{"Variable", "AST_CONFIG(manager.conf," + c.cfg.Username + ",read)"}}})
	return m.Get("Value"), err
}

// Missing returns the rights that a configuration needs and the account does not have.
func (r *Rights) Missing(use Use) (gaps []Gap) {
	for _, p := range purposes {
		has := p.action != "" && r.actions[p.action] ||
			p.kind == "read" && (r.Read == nil || slices.Contains(r.Read, p.class) || slices.Contains(r.Read, "all"))
		if !has {
			gaps = append(gaps, Gap{p.kind + "=" + p.class, p.purpose})
		}
	}
	for _, p := range use.purposes() {
		if !slices.Contains(r.Write, p.class) {
			gaps = append(gaps, Gap{"write=" + p.class, p.purpose})
		}
	}
	return gaps
}

// Excess returns the rights that the account has, and should not have with a configuration.
func (r *Rights) Excess(use Use) (gaps []Gap) {
	for _, class := range r.Write {
		if danger := dangers[class]; danger != "" && !slices.Contains(use.Write(), class) {
			gaps = append(gaps, Gap{"write=" + class, danger})
		}
	}
	return gaps
}
