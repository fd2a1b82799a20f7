package dialplan

import (
	"maps"
	"strings"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// Question returns the question that a point would ask as the first of a call, with the other party's
// number as a trunk delivers it and the arguments of the point. Without a point it is the question of
// the point lookup, for all sources. It has no deadline.
func (s Settings) Question(point, number string, args map[string]string, numbers *number.Reader) lookup.Question {
	at := Point(point)
	if point == "" {
		at = Lookup
	}
	r := &request{point: at, spec: specs[at], env: &fastagi.Env{Point: string(at), CallerNum: number}, event: string(at), args: make(map[string]string)}
	maps.Copy(r.args, args)
	st := &transition{request: r, call: newCall(Identity{}, time.Time{}), settings: newSettings(s), now: time.Now(), numbers: numbers}
	if st.direction() == outgoing {
		r.args["dialed"] = number
	}
	st.mergeChannel()
	q := st.question()
	q.Point = point
	return q
}

// Preview is the part of an answer that a call would get.
type Preview struct {
	// Set holds the variables of the channel, RINGHOOK_STATUS last.
	Set []lookup.Var `json:"set"`
	// Parameters are the names that only events have.
	Parameters []string `json:"parameters,omitempty"`
	// Refused are the refused names.
	Refused []Refusal `json:"refused,omitempty"`
}

// Refusal is a refused variable of an answer.
type Refusal struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // name, value or repeated, as in the metric
}

// Preview returns the part of an answer that a call would get. It changes nothing.
func (s Settings) Preview(a lookup.Answer) Preview {
	c := newCall(Identity{}, time.Time{})
	set, refused := newSettings(s).filterAnswer(c, a.Vars)
	var p Preview
	done := make(map[string]bool)
	for _, v := range set {
		name := strings.TrimPrefix(v.Name, "__")
		done[name] = true
		p.Set = append(p.Set, lookup.Var{Name: name, Value: v.Value})
	}
	for _, r := range refused {
		done[r.name] = true
		p.Refused = append(p.Refused, Refusal{Name: r.name, Reason: r.reason})
	}
	for _, v := range a.Vars {
		if _, kept := c.Known[v.Name]; kept && !done[v.Name] {
			p.Parameters = append(p.Parameters, v.Name)
		}
	}
	p.Set = append(p.Set, lookup.Var{Name: statusVariable, Value: statuses[a.Outcome]})
	return p
}
