package dialplan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a call keeps in mind of its past, so that no call grows without bound.
const (
	maxVisits  = 64
	maxRings   = 64
	maxEmitted = 64
	maxKnown   = 64 // parameters that lookups returned
)

// call is everything known of one conversation so far, under its linkedid.
// It is kept as JSON with each event, so that a restart in mid-call forgets nothing.
type call struct {
	LinkedID   string         `json:"linkedid"`
	Asterisk   string         `json:"asterisk,omitempty"` // see Identity
	First      channel        `json:"first,omitzero"`     // on which the call began, if that point was heard
	Direction  string         `json:"direction,omitempty"`
	Began      time.Time      `json:"began"`
	Answered   time.Time      `json:"answered,omitzero"`
	Ended      time.Time      `json:"ended,omitzero"`
	Seq        int            `json:"seq"`
	Known      map[string]any `json:"known,omitempty"` // parameters that stay with the call
	Visits     []*visit       `json:"visits,omitempty"`
	Rings      []*ring        `json:"rings,omitempty"`
	Hidden     string         `json:"hidden,omitempty"`   // the caller's number, if it is withheld but looked up
	Presumed   bool           `json:"presumed,omitempty"` // the end was not reported
	EmittedIDs []string       `json:"told,omitempty"`     // ids of events that belong to no visit and no ring

	points int // asked since the call is at hand
}

// channel distinguishes a channel from that of another call with the same uniqueid.
type channel struct {
	UniqueID string `json:"uniqueid"`
	Name     string `json:"name"`
	Caller   string `json:"caller,omitempty"` // number, as it came
}

// contradicts reports whether a channel cannot be of this call: it has the uniqueid of the
// channel that the call began on, but another name and another caller. Asterisk
// renames channels and the dialplan rewrites numbers, so one of them proves nothing.
func (c *call) contradicts(ch channel) bool {
	return c.First.UniqueID != "" && c.First.UniqueID == ch.UniqueID && c.First.Name != ch.Name && c.First.Caller != ch.Caller
}

// id is the call's identity.
func (c *call) id() Identity { return Identity{Asterisk: c.Asterisk, LinkedID: c.LinkedID} }

// visit is one stay of one channel in one queue.
type visit struct {
	Marker   marker    `json:"marker"`
	Transfer string    `json:"transfer,omitempty"` // uniqueid of the visit that the caller was transferred from
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	WaitTime int64     `json:"wait_time,omitempty"` // seconds, from Asterisk, if it said so
	Position int64     `json:"position,omitempty"`
	Agent    string    `json:"agent,omitempty"`    // phone that answered
	Presumed bool      `json:"presumed,omitempty"` // the end was not reported, or not how it came
	Left     string    `json:"left,omitempty"`     // see leftBy
	Untimed  bool      `json:"untimed,omitempty"`  // answered, but it is not known when
	HungUp   bool      `json:"hungup,omitempty"`   // the caller hung up before Queue()
}

// ring is one attempt to reach one phone: an agent's, or on the way out the
// called party's.
type ring struct {
	Marker   marker    `json:"marker"`
	Phone    string    `json:"phone"` // the agent's, also on the way out
	Visit    marker    `json:"visit,omitzero"`
	Outgoing bool      `json:"outgoing,omitempty"`
	Dialed   string    `json:"dialed,omitempty"`
	Transfer string    `json:"transfer,omitempty"` // uniqueid that the caller was transferred from
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Presumed bool      `json:"presumed,omitempty"` // the end was not reported
	Reporter string    `json:"reporter,omitempty"` // channel that reported the end of a ring whose beginning was not reported
}

// from is the uniqueid that receivers know a caller by who is transferred out
// of this ring: the visit's channel, or where there is no queue the ring's.
func (r *ring) from() string {
	if r.Visit.UniqueID != "" {
		return r.Visit.UniqueID
	}
	return r.Marker.UniqueID
}

// marker names a visit or a ring: the channel it is on, the how many-th
// of that channel it is, and the queue or the phone. It stands on the channel
// as UNIQUEID/N/WHAT, with /end after it once its end was reported. So a repeat
// is known as one by the channel alone, and two servers give it one name.
type marker struct {
	UniqueID string `json:"uniqueid"`
	N        int    `json:"n"`
	What     string `json:"what"`
}

// String is the marker as it stands on the channel.
func (m marker) String() string { return m.UniqueID + "/" + strconv.Itoa(m.N) + "/" + m.What }

// word makes a queue's id or a number fit to stand in a marker.
func word(s string) string { return strings.ReplaceAll(s, "/", "_") }

// parseMarker reads a channel's variable; ok is false if there is none, or one that ringhook did not write.
func parseMarker(value string) (m marker, ended, ok bool) {
	whole := value
	if value, ended = strings.CutSuffix(value, markerEnd); ended {
		if m, _, ok := parseMarker(value); ok {
			return m, true, true
		}
		value = whole // of a queue that is named end
	}
	// From the end: a system name in the uniqueid may hold slashes.
	rest, what, found := cutLast(value)
	uniqueid, number, counted := cutLast(rest)
	n, err := strconv.Atoi(number)
	if !found || !counted || err != nil || n < 1 || uniqueid == "" {
		return marker{}, false, false
	}
	return marker{UniqueID: uniqueid, N: n, What: what}, false, true
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

const markerEnd = "/end"

func newCall(id Identity, now time.Time) *call {
	return &call{LinkedID: id.LinkedID, Asterisk: id.Asterisk, Began: now, Known: map[string]any{}}
}

// decodeCall reads a call as it was kept.
func decodeCall(state []byte) (*call, error) {
	c := &call{}
	d := json.NewDecoder(bytes.NewReader(state))
	d.UseNumber() // a float64 changes integers above 2^53
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("decode state of call: %w", err)
	}
	if c.Known == nil {
		c.Known = map[string]any{}
	}
	c.Visits = slices.DeleteFunc(c.Visits, func(v *visit) bool { return v == nil })
	c.Rings = slices.DeleteFunc(c.Rings, func(r *ring) bool { return r == nil })
	for name, v := range c.Known {
		if n, ok := v.(json.Number); ok {
			c.Known[name] = typed(integer, n.String())
		}
	}
	return c, nil
}

// encode writes the call as it is kept, without what is long over.
func (c *call) encode() ([]byte, error) {
	c.Visits = forget(c.Visits, maxVisits, func(v *visit) bool { return !v.Ended.IsZero() })
	c.Rings = forget(c.Rings, maxRings, func(r *ring) bool { return !r.Ended.IsZero() })
	if over := len(c.EmittedIDs) - maxEmitted; over > 0 {
		c.EmittedIDs = slices.Delete(c.EmittedIDs, 0, over)
	}
	return json.Marshal(c)
}

// forget drops the oldest of a list that is too long, those that are over first.
func forget[T any](list []T, most int, over func(T) bool) []T {
	for len(list) > most {
		i := max(slices.IndexFunc(list, over), 0)
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// keep remembers a parameter for the rest of the call. An empty value changes
// nothing, and beyond maxKnown only names of the contract are taken.
func (c *call) keep(name string, value any) {
	if value == nil || value == "" {
		return
	}
	if _, contract := parameters[name]; !contract && len(c.Known) >= maxKnown {
		if _, have := c.Known[name]; !have {
			return
		}
	}
	c.Known[name] = value
}

// keepFirst remembers a parameter unless the call has it already: the
// caller's number is the first channel's, whatever a later channel shows.
func (c *call) keepFirst(name string, value any) {
	if _, have := c.Known[name]; !have {
		c.keep(name, value)
	}
}

func (c *call) text(name string) string {
	s, _ := c.Known[name].(string)
	return s
}

// visitOf finds the visit that a marker names.
func (c *call) visitOf(m marker) *visit {
	for _, v := range c.Visits {
		if v.Marker == m {
			return v
		}
	}
	return nil
}

// openVisit finds the latest visit that is not over and that fits.
func (c *call) openVisit(fits func(*visit) bool) *visit {
	for _, v := range slices.Backward(c.Visits) {
		if v.Ended.IsZero() && fits(v) {
			return v
		}
	}
	return nil
}

func (c *call) ringOf(m marker) *ring {
	for _, r := range c.Rings {
		if r.Marker == m {
			return r
		}
	}
	return nil
}

func (c *call) openRing(fits func(*ring) bool) *ring {
	for _, r := range slices.Backward(c.Rings) {
		if r.Ended.IsZero() && fits(r) {
			return r
		}
	}
	return nil
}

// later returns the first of two moments, or the second if there is no first.
func later(first, second time.Time) time.Time {
	if first.IsZero() {
		return second
	}
	return first
}

// seconds between two moments, 0 where one is missing or the clock was set
// back between them.
func seconds(from, to time.Time) int64 {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return int64(to.Sub(from).Round(time.Second) / time.Second)
}
