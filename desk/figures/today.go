package figures

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Today are the figures of the day.
type Today struct {
	From   time.Time `json:"from"`  // midnight
	Level  int       `json:"level"` // seconds of the service level
	Queues []Queue   `json:"queues"`
	Agents []Agent   `json:"agents"`
	// Total is of all queues that are seen.
	Total Queue `json:"total"`
	// Bars are the beginnings of the bars of the plots.
	Bars []time.Time `json:"bars"`
}

// Queue is the figures of a queue. Times are seconds.
type Queue struct {
	Queue     string `json:"queue"`
	Name      string `json:"name"`
	Offered   int    `json:"offered"`
	Waiting   int    `json:"waiting"`
	Answered  int    `json:"answered"`
	Abandoned int    `json:"abandoned"`
	Left      int    `json:"left"`
	Unknown   int    `json:"unknown"`
	Within    int    `json:"within"` // answered within the level
	// Level is the share of calls answered within the level in percent, and Lost that of abandoned ones; nil
	// before there is a call.
	Level   *int `json:"level"`
	Lost    *int `json:"lost"`
	Wait    *int `json:"wait"`    // average until the answer
	Longest *int `json:"longest"` // wait of a call that no longer waits
	Talk    int  `json:"talk"`
	Average *int `json:"average"` // talk time
	// Occupancy is the talk time of agents in calls of the queue, in percent of the time that they served it: were logged in to
	// it and not paused there. It is nil if none did. In the sum of queues, an agent who serves several at once counts once.
	Occupancy *int  `json:"occupancy"`
	Plot      []Bar `json:"plot"`
}

// Bar is a bar of a plot.
type Bar struct {
	Answered  int `json:"a"`
	Abandoned int `json:"b"`
	Left      int `json:"l"`
	Offered   int `json:"o"`
}

// Agent is the figures of an agent. Times are seconds.
type Agent struct {
	Agent     string `json:"agent"` // id; empty for a phone of no configured agent
	Name      string `json:"name"`
	Phone     string `json:"phone"`
	Offered   int    `json:"offered"`
	Answered  int    `json:"answered"`
	Missed    int    `json:"missed"`
	Abandoned int    `json:"abandoned"`
	Elsewhere int    `json:"elsewhere"`
	Outgoing  int    `json:"outgoing"`
	Level     *int   `json:"level"` // percent of the answered calls of queues
	Wait      *int   `json:"wait"`  // average of the callers that the agent answered
	Longest   *int   `json:"longest"`
	Ring      *int   `json:"ring"` // average until the agent answered
	Talk      int    `json:"talk"`
	Average   *int   `json:"average"`
	LoggedIn  int    `json:"logged_in"`
	Paused    int    `json:"paused"`
	Occupancy *int   `json:"occupancy"` // percent
}

// Scope is what the figures are for.
type Scope struct {
	// Queues are those that are seen; nil for all, and then also calls without a queue.
	Queues []string
	// Names are those of queues, by id.
	Names map[string]string
	// Agents are those that are listed even if they had no call.
	Agents []Agent
	// Others lists the phones of agents that are not in Agents too.
	Others bool
	// Times are the times of agents, by id.
	Times map[string]Times
	// Phones are those of all agents, by id.
	Phones map[string]string
}

// Times are the seconds of the day in which an agent was logged in and paused, and served each queue.
type Times struct {
	LoggedIn, Paused int64
	Served           map[string]int64 // by queue
}

func (s *Scope) sees(queue string) bool { return s.Queues == nil || slices.Contains(s.Queues, queue) }

// Today returns the figures for a scope, of the calls that are read.
func (b *Book) Today(s Scope) Today {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	t := Today{From: startOfDay(now), Level: int(b.level / time.Second), Queues: []Queue{}, Agents: []Agent{}}
	last := barOf(now)
	for i := range int32(Bars) {
		t.Bars = append(t.Bars, time.Unix(int64(last-Bars+1+i)*int64(Step/time.Second), 0))
	}
	var ids []string
	for id := range s.Names {
		ids = append(ids, id)
	}
	for _, id := range append(slices.Clone(b.queues.list), s.Queues...) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	all, allPlot, work := counts{}, make([]Bar, Bars), b.workOf(&s, now)
	for _, id := range ids {
		if !s.sees(id) {
			continue
		}
		c, plot := b.sum(id, barOf(t.From), last)
		all.add(&c)
		for i := range plot {
			allPlot[i].add(plot[i])
		}
		q := c.queue(id, cmp.Or(s.Names[id], id), plot)
		q.Occupancy = percent(work.talked[id], work.served[id])
		t.Queues = append(t.Queues, q)
	}
	t.Total = all.queue("", "", allPlot)
	t.Total.Occupancy = percent(work.allTalked, work.allServed)
	t.Agents = b.agentsOf(&s, now)
	return t
}

// work is what agents did for the queues of a scope, in seconds of the day.
type work struct {
	talked, served       map[string]int64 // by queue
	allTalked, allServed int64
}

// workOf returns what the agents of the configuration did for queues: only of them it is known how long they served one.
func (b *Book) workOf(s *Scope, now time.Time) (w work) {
	w.talked, w.served = map[string]int64{}, map[string]int64{}
	agents := map[string]bool{}
	for id, t := range s.Times {
		phone := s.Phones[id]
		if phone == "" {
			continue
		}
		agents[phone] = true
		var served int64
		for queue, n := range t.Served {
			if s.sees(queue) {
				w.served[queue] += n
				served += n
			}
		}
		w.allServed += min(served, t.LoggedIn-t.Paused)
	}
	b.eachTalk(now, func(phone, queue string, n int64) {
		if queue != "" && agents[phone] && s.sees(queue) {
			w.talked[queue] += n
			w.allTalked += n
		}
	})
	return w
}

// eachTalk calls f with the seconds of the day that phones talked in queues, or in calls of none. A call that goes on counts
// until now.
func (b *Book) eachTalk(now time.Time, f func(phone, queue string, n int64)) {
	today, midnight := dayOf(now), startOfDay(now)
	for k, talked := range b.talked {
		if k.day == today {
			f(b.phones.list[k.phone], b.queues.list[k.queue], talked)
		}
	}
	for _, o := range b.open {
		for i := range o.Rings {
			if r := &o.Rings[i]; !r.Answered.IsZero() && r.Ended.IsZero() {
				f(r.Phone, r.Visit.What, int64(seconds(later(r.Answered, midnight), now)))
			}
		}
	}
}

func (b *Bar) add(o Bar) {
	b.Answered += o.Answered
	b.Abandoned += o.Abandoned
	b.Left += o.Left
	b.Offered += o.Offered
}

// sum returns the figures of a queue since a bar, and its plot.
func (b *Book) sum(id string, from, last int32) (c counts, plot []Bar) {
	plot = make([]Bar, Bars)
	n, known := b.queues.at[id]
	if !known {
		return c, plot
	}
	for bar := min(from, last-Bars+1); bar <= last; bar++ {
		cell := b.cells[cellKey{n, bar}]
		if cell == nil {
			continue
		}
		if bar >= from {
			c.add(cell)
		}
		if i := bar - (last - Bars + 1); i >= 0 {
			plot[i] = Bar{cell.answered, cell.abandoned, cell.left, cell.offered}
		}
	}
	return c, plot
}

func (c *counts) queue(id, name string, plot []Bar) Queue {
	over := c.timed + c.abandoned + c.left
	q := Queue{
		Queue: id, Name: name, Offered: c.offered, Answered: c.answered, Abandoned: c.abandoned, Left: c.left, Unknown: c.unknown,
		Waiting: c.offered - c.answered - c.abandoned - c.left - c.unknown, Within: c.within,
		Level: percent(c.within, over), Lost: percent(c.abandoned, c.answered+c.abandoned+c.left), Wait: average(c.waited, c.timed),
		Talk: int(c.talk), Average: average(c.talk, c.talks), Plot: plot,
	}
	if over > 0 {
		n := int(c.longest)
		q.Longest = &n
	}
	return q
}

// percent returns a share, rounded; nil of nothing.
func percent[T int | int64](n, of T) *int {
	if of <= 0 {
		return nil
	}
	p := int(min(100, (100*n+of/2)/of))
	return &p
}

// average returns an average, rounded; nil of nothing.
func average(sum int64, n int) *int {
	if n <= 0 {
		return nil
	}
	a := int((sum + int64(n)/2) / int64(n))
	return &a
}

// agentsOf returns the figures of agents. Occupancy is of all calls of an agent, also of those that the scope does not
// see, since midnight. A call that goes on counts until now.
func (b *Book) agentsOf(s *Scope, now time.Time) []Agent {
	seen, all := map[string]*AgentCounts{}, map[string]int64{}
	today := dayOf(now)
	for k, a := range b.agents {
		if k.day != today {
			continue
		}
		phone := b.phones.list[k.phone]
		if queue := b.queues.list[k.queue]; s.sees(queue) {
			if seen[phone] == nil {
				seen[phone] = &AgentCounts{}
			}
			seen[phone].add(a)
		}
	}
	b.eachTalk(now, func(phone, _ string, n int64) { all[phone] += n })
	list := make([]Agent, 0, len(s.Agents))
	for _, a := range s.Agents {
		a.fill(seen[a.Phone], all[a.Phone], s.Times[a.Agent])
		list = append(list, a)
	}
	for phone, c := range seen {
		if s.Others && !slices.ContainsFunc(s.Agents, func(a Agent) bool { return a.Phone == phone }) {
			a := Agent{Name: phone, Phone: phone}
			a.fill(c, 0, Times{})
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(x, y Agent) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Phone, y.Phone))
	})
	return list
}

func (a *Agent) fill(c *AgentCounts, talk int64, times Times) {
	if c == nil {
		c = &AgentCounts{}
	}
	a.Offered, a.Answered, a.Missed, a.Abandoned, a.Elsewhere, a.Outgoing = c.Offered, c.Answered, c.Missed, c.Abandoned, c.Elsewhere, c.Outgoing
	a.Level, a.Wait, a.Ring = percent(c.Within, c.Timed), average(c.Waited, c.Timed), average(c.Rang, c.Rings)
	if c.Timed > 0 {
		n := int(c.Longest)
		a.Longest = &n
	}
	a.Talk, a.Average = int(c.Talk+c.OutTalk), average(c.Talk+c.OutTalk, c.Answered+c.Outgoing)
	a.LoggedIn, a.Paused = int(times.LoggedIn), int(times.Paused)
	a.Occupancy = percent(talk, times.LoggedIn-times.Paused)
}
