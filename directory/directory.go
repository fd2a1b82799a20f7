// Package directory knows the ids of agents in other products: those of the configuration, and those of lists that it
// fetches.
//
// It guarantees that no call waits for a list, and that a list which cannot be fetched, or is empty, replaces none.
package directory

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
)

// AgentID is the id of a user of another product, and how the user is found.
type AgentID struct {
	Field string // agent, phone, info or name
	Value string // of that field of the [[agent]]
	ID    string
}

// Person is an [[agent]].
type Person struct {
	ID, Phone, Name, Info string
	IDs                   map[string]string // by product
}

// field returns the value of a field of a list.
func (p *Person) field(name string) string {
	switch name {
	case "agent":
		return p.ID
	case "phone":
		return p.Phone
	case "info":
		return p.Info
	}
	return p.Name
}

// Shelf stores the lists.
type Shelf interface {
	AgentIDs(source string) ([]AgentID, error)
	SetAgentIDs(source string, list []AgentID) error
}

// Directory holds the ids. Its methods may be called concurrently.
type Directory struct {
	shelf   Shelf
	log     *slog.Logger
	metrics *metrics

	updating sync.Mutex // held while lists change, and from the check that one is in force until it is stored; locked before mu

	mu      sync.RWMutex
	people  []Person
	byPhone map[string]*Person
	lists   []*list
	wake    chan struct{} // replaced when the lists change
}

// list is one [[agents]] table with what it fetched last.
type list struct {
	cfg      Config
	fetch    *fetcher
	ids      []AgentID
	byField  map[string]map[string]string // from field and value to id, which is empty if several users have the value
	doubtful []string                     // ids of the agents that no id was found for because several users have their values
	due      time.Time
	failing  bool
}

// New returns a Directory without ids.
func New(shelf Shelf, log *slog.Logger, reg prometheus.Registerer) *Directory {
	return &Directory{shelf: shelf, log: log, metrics: newMetrics(reg), wake: make(chan struct{})}
}

// Prepare makes everything of a configuration that can fail, and returns the function that puts it in force. A list that
// stays as it is keeps its ids; one that is new begins with those that were stored.
func (d *Directory) Prepare(people []Person, cfgs []Config, accounts httpclient.Accounts) (exchange func(), err error) {
	var next []*list
	for i := range cfgs {
		l := &list{cfg: cfgs[i]}
		if l.fetch, err = newFetcher(&l.cfg, accounts); err != nil {
			return nil, err
		}
		next = append(next, l)
	}
	return func() { d.exchange(people, next) }, nil
}

func (d *Directory) exchange(people []Person, next []*list) {
	d.updating.Lock()
	defer d.updating.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	old := map[string]*list{}
	for _, l := range d.lists {
		l.fetch.client.Close()
		old[l.cfg.Name] = l
	}
	for _, l := range next {
		before := old[l.cfg.Name]
		delete(old, l.cfg.Name)
		if before != nil && reflect.DeepEqual(before.cfg, l.cfg) {
			l.set(before.ids)
			l.due, l.failing, l.doubtful = before.due, before.failing, before.doubtful
			continue
		}
		d.metrics.create(l.cfg.Name)
		ids, err := d.shelf.AgentIDs(l.cfg.Name)
		if err != nil {
			d.log.Warn("cannot read stored ids of agents", "agents", l.cfg.Name, "err", err)
		}
		l.set(ids)
	}
	for name := range old {
		d.metrics.forget(name)
	}
	d.people, d.byPhone, d.lists = people, make(map[string]*Person, len(people)), next
	for i := range people {
		if people[i].Phone != "" {
			d.byPhone[people[i].Phone] = &people[i]
		}
	}
	for _, l := range next {
		d.noteDoubtful(l)
	}
	close(d.wake)
	d.wake = make(chan struct{})
}

// set replaces the ids of a list. A value that several users have finds none of them.
func (l *list) set(ids []AgentID) {
	l.ids, l.byField = ids, map[string]map[string]string{}
	for _, a := range ids {
		if l.byField[a.Field] == nil {
			l.byField[a.Field] = map[string]string{}
		}
		id := a.ID
		if before, known := l.byField[a.Field][a.Value]; known && before != id {
			id = ""
		}
		l.byField[a.Field][a.Value] = id
	}
}

// id returns the id of a person in the list, empty if the person is not in it. doubtful is then the first field whose value
// several users have, empty if there is none.
func (l *list) id(p *Person) (id, doubtful string) {
	for _, field := range fields {
		if value := p.field(field); value != "" {
			id, known := l.byField[field][value]
			if id != "" {
				return id, ""
			}
			if known && doubtful == "" {
				doubtful = field
			}
		}
	}
	return "", doubtful
}

// noteDoubtful logs the agents whose values several users of a list have, when they change. The caller holds d.mu.
func (d *Directory) noteDoubtful(l *list) {
	var agents []string
	var field, value string // of the first agent
	for i := range d.people {
		p := &d.people[i]
		if _, doubtful := l.id(p); doubtful != "" && p.IDs[l.cfg.Name] == "" {
			if agents == nil {
				field, value = doubtful, p.field(doubtful)
			}
			agents = append(agents, cmp.Or(p.ID, p.Phone))
		}
	}
	if len(agents) > 0 && !slices.Equal(agents, l.doubtful) {
		d.log.Warn("agents have no id, several users share their value", "agents", l.cfg.Name, "without_id", strings.Join(agents, " "), "field", field, "value", value,
			"hint", "set ids of the [[agent]], or phone, info or agent in map of the [[agents]] table")
	}
	l.doubtful = agents
}

// IDs returns the ids of the agent of a phone, by product; nil if there are none. Those of the configuration come before
// those of lists. A phone without an [[agent]] is found in lists by phone.
func (d *Directory) IDs(phone string) map[string]string {
	if phone == "" {
		return nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.byPhone[phone]
	if p == nil {
		p = &Person{Phone: phone}
	}
	if len(d.lists) == 0 {
		return p.IDs
	}
	ids := make(map[string]string, len(d.lists)+len(p.IDs))
	for _, l := range d.lists {
		if id, _ := l.id(p); id != "" {
			ids[l.cfg.Name] = id
		}
	}
	maps.Copy(ids, p.IDs)
	return ids
}

// Agent returns the id of the [[agent]] who has an id in a product. ok is false if there is none, or more than one.
func (d *Directory) Agent(product, id string) (agent string, ok bool) {
	if id == "" {
		return "", false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := range d.people {
		p := &d.people[i]
		has := p.IDs[product]
		for _, l := range d.lists {
			if has == "" && l.cfg.Name == product {
				has, _ = l.id(p)
			}
		}
		if has != id || p.ID == "" {
			continue
		}
		if agent != "" {
			return "", false
		}
		agent = p.ID
	}
	return agent, agent != ""
}

// retry is the time between two fetches of a list that fail.
const retry = time.Minute

// Run fetches the lists when they are due, until ctx ends. Each waits for its own product alone.
func (d *Directory) Run(ctx context.Context) {
	var fetching sync.WaitGroup
	defer fetching.Wait()
	for ctx.Err() == nil {
		d.mu.RLock()
		wake, lists := d.wake, d.lists
		d.mu.RUnlock()
		inForce, replaced := context.WithCancel(ctx)
		for _, l := range lists {
			fetching.Go(func() { d.keep(inForce, l) })
		}
		select {
		case <-ctx.Done():
		case <-wake:
		}
		replaced()
	}
}

// keep fetches one list whenever it is due, until ctx ends.
func (d *Directory) keep(ctx context.Context, l *list) {
	d.mu.RLock()
	due := l.due
	d.mu.RUnlock()
	for {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			due = d.update(ctx, l)
		}
	}
}

// errEmpty is why an empty list does not replace the one before.
var errEmpty = errors.New("the list has no user with an id and a value to find it by")

// update fetches a list, and returns when it is due again. What is fetched for a list that was replaced meanwhile is
// dropped: the configuration that it is of is no longer in force.
func (d *Directory) update(ctx context.Context, l *list) time.Time {
	ids, users, err := l.fetch.all(ctx)
	if err == nil && len(ids) == 0 {
		err = errEmpty
	}
	if ctx.Err() != nil {
		return time.Now().Add(retry)
	}
	d.updating.Lock()
	defer d.updating.Unlock()
	d.mu.Lock()
	if !slices.Contains(d.lists, l) {
		d.mu.Unlock()
		return time.Now()
	}
	failing := l.failing
	l.failing, l.due = err != nil, time.Now().Add(l.cfg.Every)
	if err == nil {
		l.set(ids)
		d.noteDoubtful(l)
	} else {
		l.due = time.Now().Add(min(retry, l.cfg.Every))
	}
	due := l.due
	d.metrics.note(l.cfg.Name, users, err)
	d.mu.Unlock()
	switch {
	case err != nil && !failing:
		d.log.Warn("cannot fetch the ids of agents, the last list is used", "agents", l.cfg.Name, "err", l.fetch.hide(err.Error()))
	case err == nil && failing:
		d.log.Info("ids of agents are fetched again", "agents", l.cfg.Name, "users", users)
	}
	if err == nil {
		if err := d.shelf.SetAgentIDs(l.cfg.Name, ids); err != nil {
			d.log.Warn("cannot store the ids of agents", "agents", l.cfg.Name, "err", err)
		}
	}
	return due
}
