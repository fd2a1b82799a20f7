package desk

import (
	"crypto/rand"
	"slices"
	"time"

	"ringhook/pops"
)

func randomText(n int) string { return rand.Text()[:n] }

// popMessage is a pop as a tab gets it.
type popMessage struct {
	V        int       `json:"v"`
	Pop      string    `json:"pop"`
	LinkedID string    `json:"linkedid"`
	Lead     bool      `json:"lead"` // this tab shows it; the others only show that it is there
	Mode     string    `json:"mode"`
	Way      string    `json:"way"`
	URL      string    `json:"url,omitempty"`
	Title    string    `json:"title,omitempty"`
	Until    time.Time `json:"until"`
	// By is when the receipt must have come: a tab that gets the pop later was frozen, and another one shows it.
	By   *time.Time `json:"by,omitempty"`
	Fate string     `json:"fate,omitempty"`
}

func messageOf(p *pops.Pop, lead bool) popMessage {
	return popMessage{
		V: 1, Pop: p.ID, LinkedID: p.LinkedID, Lead: lead, Mode: string(p.Action), Way: string(p.Way), URL: p.URL, Title: p.Title, Until: p.Until,
		Fate: string(p.Life.Fate),
	}
}

// showing is a pop that waits for the receipt of a tab.
type showing struct {
	pop    pops.Pop
	stream string   // the tab that shows it
	tried  []string // tabs that did not confirm it
	sent   time.Time
	timer  *time.Timer
}

// Show implements pops.Screen.
func (d *Desk) Show(p pops.Pop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.show(&showing{pop: p})
}

// show sends a pop to the first tab that has not been tried, and to the others for information. It reports false if
// every tab has been tried. The caller holds d.mu.
func (d *Desk) show(w *showing) bool {
	h := d.hubs[w.pop.Agent.ID]
	if h == nil || d.closed {
		return false
	}
	n := slices.IndexFunc(h.streams, func(s *stream) bool { return !slices.Contains(w.tried, s.id) })
	if n < 0 {
		return false
	}
	if w.pop.Way == pops.Frame {
		if why := d.refusal(&w.pop); why != "" {
			refused := w.pop
			d.ended.Go(func() { d.frameRefused(&refused, why) })
			return true
		}
	}
	id := d.next(h)
	other := encode(id, "pop", messageOf(&w.pop, false))
	h.keep(other)
	for i, s := range h.streams {
		if i == n {
			lead := messageOf(&w.pop, true)
			by := time.Now().Add(d.current.Load().Config.Receipt)
			lead.By = &by
			d.push(s, encode(id, "pop", lead))
		} else {
			d.push(s, other)
		}
	}
	w.stream, w.sent = h.streams[n].id, time.Now()
	w.tried = append(w.tried, w.stream)
	pop, stream := w.pop.ID, w.stream
	w.timer = time.AfterFunc(d.current.Load().Config.Receipt, func() { d.unconfirmed(pop, stream) })
	d.showing[pop] = w
	return true
}

// unconfirmed shows a pop in the next tab, or by its next way, because a tab did not confirm it.
func (d *Desk) unconfirmed(pop, stream string) {
	d.mu.Lock()
	w := d.showing[pop]
	if w == nil || w.stream != stream || d.closed {
		d.mu.Unlock()
		return
	}
	w.timer.Stop()
	delete(d.showing, pop)
	again := d.show(w)
	d.mu.Unlock()
	if !again {
		d.nextWay(&w.pop, pops.NoReceipt)
	}
}

// refusal returns why the page of a pop cannot be framed, "" if it can or that is not known yet. Then it is found out in the
// background. The caller holds d.mu.
func (d *Desk) refusal(p *pops.Pop) string {
	if d.frames == nil {
		return ""
	}
	asked := *p
	return d.frames.Refuses(p.URL, d.current.Load().Config.URL, d.ended.Go, func(why string) { d.frameRefused(&asked, why) })
}

// frameRefused shows a pop whose page allows no frame by its next way.
func (d *Desk) frameRefused(p *pops.Pop, why string) {
	d.mu.Lock()
	if w := d.showing[p.ID]; w != nil && w.pop.Way == pops.Frame {
		w.timer.Stop()
		delete(d.showing, p.ID)
	}
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return
	}
	d.limited.Warn("frame refused", "the page of a screen pop allows no frame", "rule", p.Rule, "why", why, "hint", `use open = "window", or allow the desk in the page's frame-ancestors`)
	if next, moved := d.live.Refused(p.Agent.ID, p.ID, why); moved && next.Way.NeedsDesk() {
		d.Show(next)
	}
}

// nextWay shows a pop by its next way, if it has one.
func (d *Desk) nextWay(p *pops.Pop, why pops.Fate) {
	next, moved := d.live.Next(p.Agent.ID, p.ID, why)
	if !moved || !next.Way.NeedsDesk() {
		return
	}
	d.Show(next)
}

// receipt records what a tab reports about a pop.
func (d *Desk) receipt(agent, pop, stream string, fate pops.Fate) error {
	d.mu.Lock()
	w := d.showing[pop]
	if w != nil && w.pop.Agent.ID == agent {
		w.timer.Stop()
		delete(d.showing, pop)
		d.metrics.receipts.WithLabelValues(string(w.pop.Way)).Observe(time.Since(w.sent).Seconds())
	}
	d.mu.Unlock()
	if fate == pops.Sent {
		return nil // handed to a program that confirms nothing
	}
	if err := d.live.Receipt(agent, pop, fate); err != nil {
		return err
	}
	if fate == pops.Blocked || fate == pops.WindowLost {
		d.nextWay(&pops.Pop{ID: pop, Agent: pops.Agent{ID: agent}}, fate)
	}
	return nil
}

// Closed implements pops.Screen.
func (d *Desk) Closed(p pops.Pop) {
	d.mu.Lock()
	if w := d.showing[p.ID]; w != nil {
		w.timer.Stop()
		delete(d.showing, p.ID)
	}
	d.mu.Unlock()
	d.publish(p.Agent.ID, "pop-closed", map[string]any{"v": 1, "pop": p.ID, "fate": p.Life.Fate, "clear": slices.Contains(p.Close, string(p.Life.Fate))})
}
