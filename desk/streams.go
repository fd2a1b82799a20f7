package desk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/pops"
)

const (
	// maxSent and maxSentSize are the number of messages of an agent that are kept for a tab that connects again, and their
	// size in bytes.
	maxSent     = 256
	maxSentSize = 32 << 10
	// keepSent is the time for which they are kept after the last tab of the agent has closed.
	keepSent = time.Hour
	// streamRoom is the number of messages that a stream buffers.
	streamRoom = 64
	// heartbeat is the interval of messages by which proxies and the page know that the stream is alive.
	heartbeat = 15 * time.Second
	// writeTime is the time in which a browser must take a message.
	writeTime = 10 * time.Second
	// streamAge is the age at which a stream is closed, spread by a tenth, so that browsers connect again.
	streamAge = time.Hour
)

// The reasons for which the server closes a stream.
const (
	byeRestart   = "restart"
	byeSignedOut = "signed-out"
	byeAge       = "age"
	byeSleep     = "sleep" // too many tabs of the agent or the browser: it may connect again when the agent looks at it
)

// hub holds the streams of one agent.
type hub struct {
	tabs
	seq   uint64
	state string    // of the agent, as it was last sent
	sent  []sent    // the latest messages, the oldest first
	size  int       // of sent, in bytes
	lost  uint64    // number of the latest message that is not kept
	left  time.Time // when the last tab closed
}

// sent is a message that was published.
type sent struct {
	seq  uint64
	text []byte
}

// keep remembers a message for tabs that connect again.
func (h *hub) keep(message []byte) {
	h.sent, h.size = append(h.sent, sent{h.seq, message}), h.size+len(message)
	for len(h.sent) > maxSent || h.size > maxSentSize {
		h.lost, h.size = h.sent[0].seq, h.size-len(h.sent[0].text)
		h.sent[0].text = nil
		h.sent = h.sent[1:]
	}
}

// ForgetSent drops the messages that are kept for tabs that connect again, and has all tabs of agents connect again: they
// get a snapshot in place of what they show.
func (d *Desk) ForgetSent() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.hubs {
		h.sent, h.size, h.lost = nil, 0, h.seq
		for _, s := range h.streams {
			s.end(byeAge)
		}
	}
}

// CheckSessions ends the streams of sessions and tokens that have ended, also by another process or node.
func (d *Desk) CheckSessions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	ask := func(list []*stream) {
		for _, s := range list {
			select {
			case s.check <- struct{}{}:
			default: // it will look anyway
			}
		}
	}
	for _, h := range d.hubs {
		ask(h.streams)
	}
	for _, h := range d.lives {
		ask(h.streams)
	}
}

// since returns the messages after the one of an id, and whether some are missing. An empty id is a tab that had none.
func (d *Desk) since(h *hub, id string) (missed [][]byte, gap bool) {
	if id == "" {
		return nil, false
	}
	number, ours := strings.CutPrefix(id, d.epoch+"-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if !ours || err != nil || seq < h.lost || seq > h.seq {
		return nil, true
	}
	for _, s := range h.sent {
		if s.seq > seq {
			missed = append(missed, s.text)
		}
	}
	return missed, false
}

// stream is one tab.
type stream struct {
	id string
	// session is that of a browser over HTTP/1.1, empty for others.
	session string
	out     chan []byte
	gone    chan string   // receives the reason of the end
	check   chan struct{} // receives when the session may have ended
	missed  [][]byte      // messages that come first
}

// end makes the stream end with a reason.
func (s *stream) end(why string) {
	select {
	case s.gone <- why:
	default: // it already ends
	}
}

// encode returns a message of the event stream.
func encode(id, event string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("message %s cannot be encoded: %v", event, err)) // its types are ours
	}
	return fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", id, event, text)
}

// next returns the id of the hub's next message. The caller holds d.mu.
func (d *Desk) next(h *hub) string {
	h.seq++
	return d.epoch + "-" + strconv.FormatUint(h.seq, 10)
}

// push queues a message for a stream, and ends the stream if it does not read. The caller holds d.mu.
func (d *Desk) push(s *stream, message []byte) {
	select {
	case s.out <- message:
	default:
		d.metrics.dropped.WithLabelValues(dropSlow).Inc()
		s.end(byeAge) // the browser connects again and gets a snapshot
	}
}

// publish sends a message to every tab of an agent.
func (d *Desk) publish(agent, event string, data any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hubs[agent]
	if h == nil {
		return
	}
	message := encode(d.next(h), event, data)
	h.keep(message)
	for _, s := range h.streams {
		d.push(s, message)
	}
}

// Desks implements pops.Screen.
func (d *Desk) Desks(agent string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.hubs[agent]; h != nil {
		return len(h.streams)
	}
	return 0
}

// Call implements pops.Screen.
func (d *Desk) Call(agent string, v pops.CallView) { d.publish(agent, "call", v) }

// focus makes a tab the one that shows pops. It reports whether the agent has the stream.
func (d *Desk) focus(agent, id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hubs[agent]
	if h == nil {
		return false
	}
	n := slices.IndexFunc(h.streams, func(s *stream) bool { return s.id == id })
	if n < 0 {
		return false
	}
	if n > 0 {
		s := h.streams[n]
		h.streams = slices.Insert(slices.Delete(h.streams, n, n+1), 0, s)
		d.tellLead(h)
	}
	return true
}

// tellLead informs every tab which one shows pops. The caller holds d.mu.
func (d *Desk) tellLead(h *hub) {
	if len(h.streams) == 0 {
		return
	}
	message := encode(d.next(h), "lead", map[string]any{"v": 1, "stream": h.streams[0].id})
	for _, s := range h.streams {
		d.push(s, message)
	}
}

// open registers a stream, with the messages that its tab has missed and then a snapshot as its first ones. The session is
// that of a browser over HTTP/1.1, empty for others.
func (d *Desk) open(agent, lastID, session string) (s *stream, missed [][]byte, status int) {
	s = newStream(session)
	hello := d.hello(agent)
	d.live.View(agent, func(snapshot pops.Snapshot) {
		d.mu.Lock()
		defer d.mu.Unlock()
		h := d.hubs[agent]
		if h == nil {
			h = &hub{seq: d.base, lost: d.base}
			d.hubs[agent] = h
		}
		if status = d.join(&h.tabs, s); status != http.StatusOK {
			return
		}
		var gap bool
		missed, gap = d.since(h, lastID)
		hello.take(&snapshot)
		hello.Stream, hello.Gap, hello.Missed = s.id, gap, len(missed)
		d.push(s, encode(d.next(h), "hello", hello))
		d.tellLead(h)
		d.sleep(agent, s)
	})
	return s, missed, status
}

// sweep forgets what is kept for agents whose tabs are closed. The caller holds d.mu.
func (d *Desk) sweep(now time.Time) {
	for agent, h := range d.hubs {
		if len(h.streams) == 0 && now.Sub(h.left) > keepSent {
			d.base = max(d.base, h.seq) // the ids of the next one are others
			delete(d.hubs, agent)
		}
	}
}

// leave removes a stream. Its pops are shown by the next tab.
func (d *Desk) leave(agent string, s *stream) {
	d.mu.Lock()
	h := d.hubs[agent]
	if h == nil {
		h = &hub{} // it was taken out, and the others have left since
	}
	if d.part(&h.tabs, s) == 0 {
		d.tellLead(h)
	}
	var lost []string
	for id, w := range d.showing {
		if w.stream == s.id {
			lost = append(lost, id)
		}
	}
	if len(h.streams) == 0 {
		h.left = time.Now()
	}
	d.mu.Unlock()
	for _, id := range lost {
		d.unconfirmed(id, s.id)
	}
}

// hello is the first message of a stream: everything that the page shows.
type hello struct {
	V       int             `json:"v"`
	Stream  string          `json:"stream,omitempty"`
	Now     time.Time       `json:"now"`
	Agent   agentInfo       `json:"agent"`
	Calls   []pops.CallView `json:"calls"`
	Recent  []pops.CallView `json:"recent"`
	Pops    []popMessage    `json:"pops"`
	State   json.RawMessage `json:"state"`
	Reasons []pauseReason   `json:"reasons"`
	PBX     bool            `json:"pbx"`    // commands to the PBX are possible
	Gap     bool            `json:"gap"`    // messages were missed that are not kept
	Missed  int             `json:"missed"` // messages that were missed and came before this one
	Own     personal        `json:"own"`
	People  []person        `json:"people"` // to whom calls are transferred
}

// person is an agent or a queue that the agent may call.
type person struct {
	Name   string `json:"name"`
	Number string `json:"number"`
}

// maxPeople is the maximum number of them that a page offers.
const maxPeople = 300

// contact is a person with the id of the agent, empty for a queue.
type contact struct {
	agent string
	person
}

// contactsOf returns the agents who have a phone, and the queues, by name. One more than a page offers is enough for any
// agent, who is left out of the own list.
func contactsOf(s *Settings) []contact {
	list := []contact{}
	for _, a := range s.Agents {
		if a.Phone != "" {
			list = append(list, contact{a.ID, person{pops.Clean(cmp.Or(a.Name, a.ID, a.Phone), 80), a.Phone}})
		}
	}
	for _, q := range s.Queues {
		list = append(list, contact{"", person{pops.Clean(cmp.Or(q.Name, q.ID), 80), q.ID}})
	}
	slices.SortStableFunc(list, func(a, b contact) int { return strings.Compare(a.Name, b.Name) })
	return slices.Clone(list[:min(len(list), maxPeople+1)])
}

// peopleFor returns the contacts but the agent.
func (c *current) peopleFor(agent string) []person {
	list := make([]person, 0, len(c.contacts))
	for i := range c.contacts {
		if c.contacts[i].agent != agent && len(list) < maxPeople {
			list = append(list, c.contacts[i].person)
		}
	}
	return list
}

// personal is what is stored about an agent.
type personal struct {
	settingsView
	Notes map[string]string `json:"notes"` // by linkedid
	Rules []string          `json:"rules"` // that may be for the agent
}

// shownNotes is the number of notes that a page gets.
const shownNotes = 30

// personalOf reads what is stored about an agent. Without it the page works too.
func (d *Desk) personalOf(agent string) personal {
	own, notes := map[string]string{}, map[string]string{}
	if d.accounts != nil {
		all, err := d.accounts.SettingsOf(agent)
		list, err2 := d.accounts.Notes(agent, shownNotes)
		if err := errors.Join(err, err2); err != nil {
			d.limited.Error("settings", "cannot read settings and notes of an agent", "err", err)
		} else {
			own = all
		}
		for _, n := range list {
			notes[n.Call] = n.Note
		}
	}
	a, _ := d.agent(agent)
	rules := d.live.Rules().NamesFor(agent, a.Role != dialplan.RoleAgent && a.Role != "")
	return personal{d.viewSettings(own), notes, append([]string{}, rules...)}
}

// snapshot answers with what the first message of a stream has, for a page whose streams do not come through.
func (d *Desk) snapshot(w http.ResponseWriter, _ *http.Request, me *visitor) {
	h := d.hello(me.agent.ID)
	d.live.View(me.agent.ID, func(s pops.Snapshot) { h.take(&s) })
	reply(w, http.StatusOK, h)
}

type agentInfo struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Phone string `json:"phone"`
}

type pauseReason struct {
	Name string            `json:"name"`
	Text map[string]string `json:"text,omitempty"`
}

// hello makes the first message, but for what changes with calls.
func (d *Desk) hello(agent string) hello {
	cur := d.current.Load()
	a := cur.agents[agent]
	h := hello{
		V: 1, Agent: agentInfo{a.ID, cmp.Or(a.Name, a.ID), a.Phone}, People: cur.peopleFor(agent), State: json.RawMessage(d.stateOf(agent)),
		PBX: cur.PBX, Own: d.personalOf(agent), Reasons: []pauseReason{},
	}
	for _, r := range cur.Pauses {
		if r.By == "agent" {
			h.Reasons = append(h.Reasons, pauseReason{r.Name, r.Text})
		}
	}
	return h
}

// take adds the calls and pops of now.
func (h *hello) take(s *pops.Snapshot) {
	h.Now, h.Calls, h.Recent, h.Pops = time.Now(), s.Calls, s.Recent, []popMessage{}
	if h.Recent == nil {
		h.Recent = []pops.CallView{}
	}
	for i := range s.Pops {
		h.Pops = append(h.Pops, messageOf(&s.Pops[i], false))
	}
}

// events serves the stream of a tab until the tab, its session or the server ends.
func (d *Desk) events(w http.ResponseWriter, r *http.Request, me *visitor) {
	s, missed, status := d.open(me.agent.ID, cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("last")), plainSession(r, me))
	if status != http.StatusOK {
		w.Header().Set("Retry-After", "10")
		fail(w, status, "busy", "too many open desks")
		return
	}
	s.missed = missed
	d.carry(w, r, me, s, func() { d.leave(me.agent.ID, s) })
}

// randomID returns an id of a stream.
func randomID() string { return strings.ToLower(randomText(10)) }
