package dialplan

import (
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"time"

	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// sampleLength is the length of the longest sample call, in seconds.
const sampleLength = 102

// Sample returns the event of a name as the points of a call between fictitious people make it. The call
// ends at now, and has a linkedid of its own, so that no receiver takes the event for a repeat.
func Sample(name string, now time.Time) (*hooks.Event, error) {
	c := newSampleCall(now.Add(-sampleLength * time.Second))
	play := sampleCalls[name]
	if play == nil {
		play = answeredQueueCall
	}
	play(c)
	if specs[Point(name)].step == nil && name != queueAbandon && name != queueFailover {
		c.at(60, "caller", CustomEvent, "name="+name)
	}
	if c.err != nil {
		return nil, c.err
	}
	for i := range c.events {
		if c.events[i].Name == name {
			return &c.events[i], nil
		}
	}
	return nil, fmt.Errorf("no sample call makes the event %s", name)
}

// sampleCalls are the calls of the events that an answered queue call does not have.
var sampleCalls = map[string]func(*sampleCall){
	string(IVRHangup): func(c *sampleCall) {
		c.at(0, "caller", CallDial)
		c.at(9, "caller", IVRHangup, "ivr=main", "cause=16")
	},
	string(CallAnswer): func(c *sampleCall) {
		c.at(0, "caller", CallDial)
		c.at(0, "caller", AgentDial, "agent_phone=101")
		c.at(5, "phone", CallAnswer, "agent_phone=101", "connected=02079460142")
	},
	queueAbandon: func(c *sampleCall) {
		c.at(0, "caller", QueueDial, "queue_id=500")
		c.at(14, "caller", QueueHangup, "abandoned=TRUE", "queue_position=1", "cause=16")
	},
	queueFailover: func(c *sampleCall) {
		c.at(0, "caller", QueueDial, "queue_id=500")
		c.at(30, "caller", QueueHangup, "queue_status=TIMEOUT", "queue_position=1")
	},
	string(AgentCancel): func(c *sampleCall) {
		c.at(0, "caller", QueueDial, "queue_id=500")
		c.at(1, "member", AgentDial, "agent_phone=101")
		c.at(6, "member", AgentHangup, "status=BUSY", "cause=17")
	},
	string(AgentCustom):        outgoingSampleCall,
	string(AgentDialoutAnswer): outgoingSampleCall,
	string(AgentDialoutHangup): outgoingSampleCall,
}

func answeredQueueCall(c *sampleCall) {
	c.at(0, "caller", CallDial)
	c.learn("CALLERID(name)", "Zoë Müller", "QUEUE_PRIO", "10", "call_info", "a sample, not a call", "match", "exact", "match_count", "1",
		"recording_url", "https://pbx.example/rec/sample.wav")
	c.at(5, "caller", QueueDial, "queue_id=500", "recording_file=/var/spool/asterisk/monitor/sample.wav")
	c.at(14, "member", AgentDial, "agent_phone=101")
	c.at(19, "phone", AgentAnswer, "agent_phone=101", "connected=02079460142")
	c.at(102, "member", AgentHangup, "status=ANSWER", "cause=16")
	c.at(102, "caller", QueueHangup, "wait_time=14", "queue_position=2", "agent_phone=101", "cause=16")
	c.at(102, "caller", CallHangup, "billsec=83", "cause=16")
}

func outgoingSampleCall(c *sampleCall) {
	c.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777")
	c.at(6, "trunk", AgentDialoutAnswer)
	c.at(89, "agent", AgentDialoutHangup, "status=ANSWER", "cause=16")
}

// sampleCall is a call whose points are asked without Asterisk.
type sampleCall struct {
	settings *settings
	numbers  *number.Reader
	call     *call
	markers  map[string]string // of visit and ring; all channels have them
	events   []hooks.Event
	err      error // the first
}

func newSampleCall(began time.Time) *sampleCall {
	return &sampleCall{
		settings: newSettings(Settings{
			Queues: []Queue{{ID: "500", Name: "Sales"}},
			Agents: []Agent{{ID: "7", Phone: "101", Name: "Anna", Info: "anna@crm.example"}},
		}),
		numbers: number.NewReader(number.Config{Country: "GB", Language: "en"}),
		call:    newCall(Identity{LinkedID: "sample-" + strings.ToLower(rand.Text()[:10])}, began),
		markers: make(map[string]string),
	}
}

// at asks a point at a second of the call. The channel "caller" is the call's first.
func (c *sampleCall) at(second int, channel string, point Point, args ...string) {
	id := c.call.LinkedID
	if channel != "caller" && channel != "agent" {
		id += "-" + channel
	}
	env := &fastagi.Env{Point: string(point), UniqueID: id, CallerNum: "02079460142", DNID: "02079460500", Args: args}
	if channel == "agent" {
		env.CallerNum, env.DNID = "101", ""
	}
	r, err := parseRequest(env, c.settings.variables)
	if err != nil {
		c.err = err
		return
	}
	for _, name := range r.spec.reads {
		if _, given := r.args[name]; !given {
			r.args[name] = c.markers[channelReads[name]]
		}
	}
	t := &transition{request: r, call: c.call, settings: c.settings, now: c.call.Began.Add(time.Duration(second) * time.Second), numbers: c.numbers}
	t.mergeChannel()
	r.spec.step(t)
	for _, v := range t.vars {
		c.markers[strings.TrimPrefix(v.Name, "__")] = v.Value
	}
	c.events = append(c.events, t.events...)
}

// learn adds the variables of a lookup's answer, as alternating names and values.
func (c *sampleCall) learn(pairs ...string) {
	var vars []lookup.Var
	for i := 0; i < len(pairs); i += 2 {
		vars = append(vars, lookup.Var{Name: pairs[i], Value: pairs[i+1]})
	}
	c.settings.filterAnswer(c.call, vars)
}

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
	with := newSettings(s)
	set, refused := with.filterAnswer(c, a.Vars)
	set = with.names.shape(set)
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
