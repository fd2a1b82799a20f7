// Package kept reads what the store keeps of a call, for people and for figures.
package kept

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Call is what is kept of a call.
type Call struct {
	LinkedID  string         `json:"linkedid"`
	Asterisk  string         `json:"asterisk"`
	Direction string         `json:"direction"`
	Began     time.Time      `json:"began"`
	Answered  time.Time      `json:"answered"`
	Ended     time.Time      `json:"ended"`
	Presumed  bool           `json:"presumed"` // the end was not reported
	Seq       int            `json:"seq"`
	Known     map[string]any `json:"known"` // parameters of its events; a number is a json.Number
	Visits    []Visit        `json:"visits"`
	Rings     []Ring         `json:"rings"`
}

// Marker identifies a visit or a ring within its call.
type Marker struct {
	UniqueID string `json:"uniqueid"`
	N        int    `json:"n"`
	What     string `json:"what"` // id of the queue, or the phone
}

// Visit is one visit to one queue.
type Visit struct {
	Marker   Marker    `json:"marker"`
	Began    time.Time `json:"began"` // zero if it was not reported
	Answered time.Time `json:"answered"`
	Ended    time.Time `json:"ended"`
	WaitTime int64     `json:"wait_time"` // seconds, from Asterisk; 0 if it did not report it
	Agent    string    `json:"agent"`     // phone that answered
	Presumed bool      `json:"presumed"`  // the end was not reported, or its reason is not known
	Untimed  bool      `json:"untimed"`   // answered at an unknown time
	EndedBy  string    `json:"ended_by"`  // whose command took the caller out of the queue
	Outcome  string    `json:"outcome"`   // status of its end, empty before it
}

// Queue returns the id of the queue.
func (v *Visit) Queue() string { return v.Marker.What }

// Ring is one attempt to reach one phone.
type Ring struct {
	Phone    string    `json:"phone"`
	Visit    Marker    `json:"visit"` // zero without a queue
	Outgoing bool      `json:"outgoing"`
	Dialed   string    `json:"dialed"`
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered"`
	Ended    time.Time `json:"ended"`
	Presumed bool      `json:"presumed"` // the end was not reported
}

// Decode reads the stored state of a call.
func Decode(state []byte) (*Call, error) {
	c := &Call{}
	d := json.NewDecoder(bytes.NewReader(state))
	d.UseNumber() // a float64 changes integers above 2^53, and prints 1234567 as 1.234567e+06
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("read the state of a call: %w", err)
	}
	return c, nil
}

// skipped is a value that is not read.
type skipped struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (skipped) UnmarshalJSON([]byte) error { return nil }

// DecodeTimes is Decode without the parameters of the call, for those who read many calls.
func DecodeTimes(state []byte) (*Call, error) {
	c := &Call{}
	rest := struct {
		*Call
		Known skipped `json:"known"`
	}{Call: c}
	if err := json.Unmarshal(state, &rest); err != nil {
		return nil, fmt.Errorf("read the state of a call: %w", err)
	}
	return c, nil
}

// Text returns a parameter of the call's events, "" if it is none or no text.
func (c *Call) Text(name string) string {
	s, _ := c.Known[name].(string)
	return s
}
