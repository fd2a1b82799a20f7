package dialplan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/hooks"
)

// Limits of the state of a call, so that no call grows without bound.
const (
	maxVisits  = 64
	maxRings   = 64
	maxEmitted = 64
	maxKnown   = 64 // parameters that lookups returned
)

// call is the state of one call. It is stored as JSON with each event, so that the call continues
// after a restart.
type call struct {
	LinkedID   string            `json:"linkedid"`
	Asterisk   string            `json:"asterisk,omitempty"` // see Identity
	First      channel           `json:"first,omitzero"`     // on which the call began, if that was reported
	Direction  string            `json:"direction,omitempty"`
	Began      time.Time         `json:"began"`
	Answered   time.Time         `json:"answered,omitzero"`
	Ended      time.Time         `json:"ended,omitzero"`
	Seq        int               `json:"seq"`
	Known      lasting           `json:"known,omitempty"` // parameters of all later events
	Visits     []*visit          `json:"visits,omitempty"`
	Rings      []*ring           `json:"rings,omitempty"`
	Hidden     string            `json:"hidden,omitempty"`   // the caller's number, if it is withheld but looked up
	Marks      []string          `json:"marks,omitempty"`    // digests of the caller's number and name, if they are withheld; see mark
	Presumed   bool              `json:"presumed,omitempty"` // the end was not reported
	EmittedIDs []string          `json:"told,omitempty"`     // ids of events that belong to no visit and no ring
	Notes      map[string]string `json:"notes,omitempty"`    // digests of the agents' latest notes, by phone
	Twins      []twin            `json:"twins,omitempty"`    // calls of other Asterisks with the same identity
	Looked     string            `json:"looked,omitempty"`   // what the lookups found, see Audience
	Table      string            `json:"table,omitempty"`    // [[ami]] table of the Asterisk, if a point reported the first channel and the table did later

	points int // number of points asked since the call was loaded
}

// lasting are parameters of a call: strings, int64 and booleans, by name.
type lasting map[string]any

// MarshalJSON implements json.Marshaler. For a map encoding/json allocates twice for each entry, a tenth of what a session
// with an event allocates.
func (l lasting) MarshalJSON() ([]byte, error) {
	return hooks.AppendParams(make([]byte, 0, 512), l), nil
}

// channel distinguishes a channel from that of another call with the same uniqueid.
type channel struct {
	UniqueID string `json:"uniqueid"`
	Name     string `json:"name"`
	Caller   string `json:"caller,omitempty"` // number, as received
	Peer     string `json:"peer,omitempty"`   // address of the Asterisk, empty if it proves nothing
	Server   string `json:"server,omitempty"` // [[ami]] table that reported it, empty if a point did
}

// hiddenCaller is the Caller of a channel that withholds the number, whose Name is without it.
const hiddenCaller = "withheld"

// hidden returns the channel of a caller who withholds the number.
func (ch channel) hidden() channel {
	ch.Name, ch.Caller = HideNumber(ch.Name, ch.Caller), hiddenCaller
	return ch
}

// isNamed reports whether a channel has the name of another one, also if the number of one of them is hidden.
func (ch channel) isNamed(other channel) bool {
	switch {
	case ch.Caller == hiddenCaller && other.Caller != hiddenCaller:
		other = other.hidden()
	case ch.Caller != hiddenCaller && other.Caller == hiddenCaller:
		ch = ch.hidden()
	}
	return ch.Name == other.Name
}

// elsewhere reports whether two channels are on Asterisks with different addresses.
func (ch channel) elsewhere(other channel) bool {
	return ch.Peer != "" && other.Peer != "" && ch.Peer != other.Peer
}

// meet sets the channel on which the call began, if it is this one.
func (c *call) meet(here channel) {
	if c.First.UniqueID == "" && here.UniqueID == c.LinkedID {
		c.First = here
	}
}

// contradicts reports whether a channel belongs to another call: it has the uniqueid of the channel
// on which this call began, but another caller, and another name or another Asterisk. One difference
// alone is no proof, because Asterisk renames channels, the dialplan rewrites numbers, and a machine
// has several addresses. It is one between the reports of two [[ami]] tables, which are two Asterisks.
func (c *call) contradicts(ch channel) bool {
	f := c.First
	if f.UniqueID == "" || f.UniqueID != ch.UniqueID {
		return false
	}
	caller, name := f.Caller != ch.Caller, !f.isNamed(ch)
	if f.Server != "" || ch.Server != "" { // a report does not know all of every channel
		caller = caller && f.Caller != "" && ch.Caller != ""
		name = name && f.Name != "" && ch.Name != ""
	}
	if server := c.server(); server != "" && ch.Server != "" {
		return server != ch.Server && (caller || name)
	}
	return caller && (name || f.elsewhere(ch))
}

// server returns the [[ami]] table of the call's Asterisk, empty if it is not known.
func (c *call) server() string { return cmp.Or(c.First.Server, c.Table) }

// joinServer notes the table whose report names the first channel as the point of the dialplan did that was asked first.
func (c *call) joinServer(ch channel) {
	f := c.First
	if c.server() == "" && ch.Name != "" && f.UniqueID == ch.UniqueID && f.Caller == ch.Caller && f.isNamed(ch) {
		c.Table = ch.Server
	}
}

// twin is a call of another Asterisk with the same identity, which contradicted this one.
type twin struct {
	Asterisk string  `json:"asterisk"` // the name under which it is kept
	First    channel `json:"first"`
}

// maxTwins is the maximum number of twins of a call.
const maxTwins = 8

// twinOf returns the name of the twin to which a channel belongs, empty if it belongs to this call. The
// first channel of a twin has its name, the other channels come from its Asterisk. If all Asterisks have
// one address, they have the twin's caller as caller or as connected line.
func (c *call) twinOf(ch channel, connected string) string {
	for _, t := range c.Twins {
		switch {
		case ch.Server != "" && t.First.Server != "":
			if ch.Server == t.First.Server {
				return t.Asterisk
			}
		case t.First.elsewhere(c.First) && ch.Peer != "":
			if ch.Peer == t.First.Peer {
				return t.Asterisk
			}
		case ch.UniqueID == t.First.UniqueID:
			name := ch.isNamed(t.First) && !ch.isNamed(c.First)
			caller := ch.Caller == t.First.Caller && ch.Caller != c.First.Caller
			if name || caller && t.First.isNamed(c.First) {
				return t.Asterisk
			}
		case ch.Caller == t.First.Caller, connected != "" && connected == t.First.Caller:
			if ch.Caller != c.First.Caller {
				return t.Asterisk
			}
		}
	}
	return ""
}

// separate makes a twin for the call of a channel that contradicts this one, and returns its name.
func (c *call) separate(ch channel) string {
	t := twin{Asterisk: c.Asterisk + twinSeparator + ch.Name, First: ch}
	if len(c.Twins) < maxTwins && !slices.ContainsFunc(c.Twins, func(have twin) bool { return have.Asterisk == t.Asterisk }) {
		c.Twins = append(c.Twins, t)
	}
	return t.Asterisk
}

// twinSeparator separates an Asterisk and a channel in the name of a twin.
const twinSeparator = "~"

// id returns the identity of the call.
func (c *call) id() Identity { return Identity{Asterisk: c.Asterisk, LinkedID: c.LinkedID} }

// visit is one visit of one channel to one queue.
type visit struct {
	Marker   marker    `json:"marker"`
	Transfer string    `json:"transfer,omitempty"` // uniqueid of the visit that the caller was transferred from
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	WaitTime int64     `json:"wait_time,omitempty"` // seconds, from Asterisk; 0 if it did not report it
	Position int64     `json:"position,omitempty"`
	Agent    string    `json:"agent,omitempty"`    // phone that answered
	Presumed bool      `json:"presumed,omitempty"` // the end was not reported, or its reason is not known
	Left     string    `json:"left,omitempty"`     // see leftBy
	Untimed  bool      `json:"untimed,omitempty"`  // answered at an unknown time
	HungUp   bool      `json:"hungup,omitempty"`   // the caller hung up before Queue()
	EndedBy  string    `json:"ended_by,omitempty"` // whose command takes the caller out of the queue
	Outcome  string    `json:"outcome,omitempty"`  // the status of its end
	Joined   bool      `json:"joined,omitempty"`   // a manager event of it was seen
}

// ring is one attempt to reach one phone: an agent's, or the called party's in an outgoing call.
type ring struct {
	Marker   marker    `json:"marker"`
	Phone    string    `json:"phone"` // the agent's, also in an outgoing call
	Visit    marker    `json:"visit,omitzero"`
	Outgoing bool      `json:"outgoing,omitempty"`
	Dialed   string    `json:"dialed,omitempty"`
	Transfer string    `json:"transfer,omitempty"` // uniqueid that the caller was transferred from
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Presumed bool      `json:"presumed,omitempty"` // the end was not reported
	Reporter string    `json:"reporter,omitempty"` // channel that reported the end of a ring whose beginning was not reported
	Leg      string    `json:"leg,omitempty"`      // uniqueid of the phone's own channel, if the manager interface reported it
}

// from returns the uniqueid by which receivers know a caller who is transferred from this ring: that
// of the visit's channel, or of the ring's if there is no queue.
func (r *ring) from() string {
	if r.Visit.UniqueID != "" {
		return r.Visit.UniqueID
	}
	return r.Marker.UniqueID
}

// marker identifies a visit or a ring by its channel, its number on that channel, and the queue or
// phone. A channel variable holds it as UNIQUEID/N/WHAT, with /end appended after the end was
// reported. With it any server recognises a repeated report without the call's state.
type marker struct {
	UniqueID string `json:"uniqueid"`
	N        int    `json:"n"`
	What     string `json:"what"`
}

// String returns the marker as the channel variable holds it.
func (m marker) String() string {
	return m.UniqueID + "/" + strconv.Itoa(m.N) + "/" + partOf(m.What)
}

// key returns the key of the events of a visit or a ring.
func (m marker) key() string { return m.UniqueID + "/" + strconv.Itoa(m.N) + "/" + m.What }

// partOf writes a text as a part of a marker, and inPart reads it: the name of a queue may have a slash.
func partOf(text string) string {
	if !strings.ContainsAny(text, "%/") { // Replace would allocate
		return text
	}
	return toPart.Replace(text)
}

func inPart(part string) string {
	if !strings.Contains(part, "%") {
		return part
	}
	return fromPart.Replace(part)
}

var (
	toPart   = strings.NewReplacer("%", "%25", "/", "%2F")
	fromPart = strings.NewReplacer("%25", "%", "%2F", "/")
)

// parseMarker parses a channel variable; ok is false if it is empty or ringhook did not write it.
func parseMarker(value string) (m marker, ended, ok bool) {
	if value == "" {
		return marker{}, false, false
	}
	whole := value
	if value, ended = strings.CutSuffix(value, markerEnd); ended {
		if m, _, ok := parseMarker(value); ok {
			return m, true, true
		}
		value = whole // the queue is named end
	}
	// Parsed from the end, because a system name in the uniqueid may contain slashes.
	rest, what, found := cutLast(value)
	uniqueid, number, counted := cutLast(rest)
	n, err := strconv.Atoi(number)
	if !found || !counted || err != nil || n < 1 || uniqueid == "" {
		return marker{}, false, false
	}
	return marker{UniqueID: uniqueid, N: n, What: inPart(what)}, false, true
}

// parseLeft parses leftVariable: the visit that the caller left, and its QUEUESTATUS, which may be empty.
func parseLeft(value string) (m marker, status string, ok bool) {
	visit, status, _ := cutLast(value)
	m, _, ok = parseMarker(visit)
	return m, inPart(status), ok
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
	return &call{LinkedID: id.LinkedID, Asterisk: id.Asterisk, Began: now, Known: lasting{}}
}

// decodeCall returns the call that encode wrote.
func decodeCall(state []byte) (*call, error) {
	c := &call{}
	d := json.NewDecoder(bytes.NewReader(state))
	d.UseNumber() // a float64 changes integers above 2^53
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("decode state of call: %w", err)
	}
	if c.Known == nil {
		c.Known = lasting{}
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

// encode returns the stored form of the call, without its oldest visits, rings and ids.
func (c *call) encode() ([]byte, error) {
	c.Visits = forget(c.Visits, maxVisits, func(v *visit) bool { return !v.Ended.IsZero() })
	c.Rings = forget(c.Rings, maxRings, func(r *ring) bool { return !r.Ended.IsZero() })
	if over := len(c.EmittedIDs) - maxEmitted; over > 0 {
		c.EmittedIDs = slices.Delete(c.EmittedIDs, 0, over)
	}
	return json.Marshal(c)
}

// forget removes the oldest entries of a list that is too long, those that have ended first.
func forget[T any](list []T, most int, over func(T) bool) []T {
	for len(list) > most {
		i := max(slices.IndexFunc(list, over), 0)
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// keep stores a parameter for the rest of the call. An empty value changes nothing. Beyond maxKnown
// parameters, keep accepts only names of the contract.
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

// keepFirst stores a parameter unless the call has it already: the caller's number is that of the
// first channel, whatever later channels show.
func (c *call) keepFirst(name string, value any) {
	if _, have := c.Known[name]; !have {
		c.keep(name, value)
	}
}

func (c *call) text(name string) string {
	s, _ := c.Known[name].(string)
	return s
}

// visitOf returns the visit of a marker, nil if the call does not have it.
func (c *call) visitOf(m marker) *visit {
	for _, v := range c.Visits {
		if v.Marker == m {
			return v
		}
	}
	return nil
}

// openVisit returns the latest visit that has not ended and for which fits is true, nil if there is
// none.
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

// later returns the first of two times, or the second if the first is zero.
func later(first, second time.Time) time.Time {
	if first.IsZero() {
		return second
	}
	return first
}

// seconds returns the whole seconds between two times, 0 if one is zero or if the clock was set back
// between them.
func seconds(from, to time.Time) int64 {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return int64(to.Sub(from).Round(time.Second) / time.Second)
}
