package browse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ringhook/dialplan"
)

// HeldCall is a stored call.
type HeldCall struct {
	LinkedID string          `json:"linkedid"`
	Key      string          `json:"-"`    // see dialplan.Identity
	Seen     time.Time       `json:"seen"` // time of its last record
	State    json.RawMessage `json:"state"`
	Row      int64           `json:"-"` // orders the calls of one time in the list of CallsAfter; not 0
}

// UUID returns the call_uuid of the call.
func (c *HeldCall) UUID() string { return dialplan.IdentityOf(c.Key).UUID() }

// Asterisk returns the Asterisk of the call, empty if it is not known.
func (c *HeldCall) Asterisk() string { return dialplan.IdentityOf(c.Key).Asterisk }

// Place returns the place after the call in the list of CallsAfter.
func (c *HeldCall) Place() Place { return Place{c.Seen, c.Row} }

// Place is a place in the list of calls, the latest first: before it are the calls whose last record is at Before or later.
type Place struct {
	Before time.Time
	Row    int64 // of a call of this very time, after which the list continues; 0: before it are all calls of that time
}

// String returns the place as ParsePlace reads it.
func (p Place) String() string { return fmt.Sprintf("%d.%d", p.Before.UnixMicro(), p.Row) }

// ParsePlace reads a place: microseconds since 1970 and, after a point, the row of a call of that time. Without the row all
// calls of that time are before the place.
func ParsePlace(s string) (p Place, err error) {
	text, row, of := strings.Cut(s, ".")
	us, err := strconv.ParseInt(text, 10, 64)
	if err == nil && of {
		p.Row, err = strconv.ParseInt(row, 10, 64)
	}
	if err != nil {
		return Place{}, fmt.Errorf("%.40q is no place in the list of calls", s)
	}
	p.Before = time.UnixMicro(us)
	return p, nil
}
