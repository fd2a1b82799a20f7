package yemot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ringhook/control"
)

// queueAnswer is the answer to GetQueueRealTime.
type queueAnswer struct {
	status
	Data    queueData `json:"queueData"`
	Members []member  `json:"members"`
	Entries []entry   `json:"entries"`
}

// queueData are the numbers of a queue. Those that Asterisk does not send in its lists are 0.
type queueData struct {
	Calls     int    `json:"Calls"` // that wait
	Completed int    `json:"Completed"`
	Abandoned int    `json:"Abandoned"`
	TalkTime  int    `json:"TalkTime"`
	HoldTime  int    `json:"Holdtime"`
	Max       int    `json:"Max"`
	Strategy  string `json:"Strategy"`
}

// member is an agent in a queue.
type member struct {
	Agent   string `json:"agent"`
	Status  string `json:"Status"` // Asterisk's device state, see deviceStates
	Taken   int    `json:"CallsTaken"`
	Paused  bool   `json:"Paused"`
	Penalty string `json:"Penalty"`
}

// entry is a waiting caller.
type entry struct {
	Phone    string `json:"phone"`
	Wait     int    `json:"Wait"` // seconds
	WaitAgo  string `json:"WaitAgo"`
	Position int    `json:"Position"`
	CallID   string `json:"CallId"`
}

// deviceStates are the numbers of Asterisk's states (include/asterisk/devicestate.h).
var deviceStates = map[string]string{
	"unknown": "0", "free": "1", "busy": "2", "invalid": "4", "unavailable": "5", "ringing": "6", "held": "8",
}

// missing refuses a request for what no connected Asterisk has. It may be on one that is not connected.
func missing(live control.Live, what string) error {
	if slices.ContainsFunc(live.Servers, func(s control.Server) bool { return !s.Connected }) {
		return refuse("not connected to an Asterisk that may have the %s", what)
	}
	return refuse("%s does not exist", what)
}

// queue returns the queue that queuePath names.
func (y *Yemot) queue(p Params) (q control.Queue, err error) {
	name := place(p.Text("queuePath"))
	if name == "" {
		return q, refuse("queuePath is missing")
	}
	live := y.pbx.Live()
	if !slices.ContainsFunc(live.Servers, func(s control.Server) bool { return s.Connected }) {
		return q, refuse("not connected to Asterisk")
	}
	found := slices.DeleteFunc(live.Queues, func(q control.Queue) bool { return q.ID != name })
	switch len(found) {
	case 0:
		return q, missing(live, "queue")
	case 1:
		return found[0], nil
	}
	return q, refuse("several Asterisks have this queue")
}

func queueRealTime(_ context.Context, y *Yemot, p Params) (any, error) {
	q, err := y.queue(p)
	if err != nil {
		return nil, err
	}
	a := queueAnswer{status: ok, Members: []member{}, Entries: []entry{}, Data: queueData{
		Calls: len(q.Waiting), Completed: q.Completed, Abandoned: q.Abandoned, Strategy: q.Strategy,
	}}
	for i := range q.Members {
		m := &q.Members[i]
		state := m.State
		if m.InCall {
			state = "busy"
		}
		a.Members = append(a.Members, member{m.Phone, deviceStates[state], m.Taken, m.Paused, fmt.Sprint(m.Penalty)})
	}
	for i := range q.Waiting {
		w := &q.Waiting[i]
		waited := max(0, time.Since(w.Since)).Truncate(time.Second)
		a.Entries = append(a.Entries, entry{w.Caller, int(waited.Seconds()), clock(waited), w.Position, w.UniqueID})
	}
	return a, nil
}

// clock returns a time as mm:ss.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// kicked is the answer to the action kick: the result of each call.
type kicked struct {
	status
	Results map[string]string `json:"status"`
}

func manageQueue(ctx context.Context, y *Yemot, p Params) (any, error) {
	q, err := y.queue(p)
	if err != nil {
		return nil, err
	}
	switch p.Text("action") {
	case "kick":
		return y.kick(ctx, q, p)
	case "pause", "unpause":
		return y.pause(ctx, q, p)
	}
	return nil, refuse("bad action: use kick, pause or unpause")
}

func (y *Yemot) kick(ctx context.Context, q control.Queue, p Params) (any, error) {
	in := control.KickRequest{Server: q.Server, Queue: q.ID}
	var err error
	if in.Calls, err = p.list("callIds"); err != nil {
		return nil, err
	}
	slices.Sort(in.Calls)
	in.Calls = slices.Compact(in.Calls)
	if more := p.Text("moreData"); more != "" {
		path, isPath := strings.CutPrefix(more, "GOTO:")
		if in.To = place(path); !isPath || in.To == "" {
			return nil, refuse("moreData must be GOTO: and a path")
		}
	}
	results, err := y.pbx.Kick(ctx, actor(), in)
	if err != nil {
		return nil, err
	}
	a := kicked{ok, map[string]string{}}
	for _, r := range results.Results {
		switch r.Result {
		case control.OK:
			a.Results[r.Call] = "OK"
		case control.Unknown, control.Connected:
			a.Results[r.Call] = "Call not found"
		default:
			a.Results[r.Call] = r.Error
		}
	}
	return a, nil
}

func (y *Yemot) pause(ctx context.Context, q control.Queue, p Params) (any, error) {
	named := place(p.Text("agent"))
	if named == "" {
		return nil, refuse("agent is missing")
	}
	who := actor()
	agents := slices.DeleteFunc(y.pbx.Agents(who), func(a control.AgentView) bool { return a.Phone != named && a.Agent != named })
	if len(agents) != 1 {
		return nil, refuse("agent not found: the configuration needs one [[agent]] with this phone or id")
	}
	in := control.PauseRequest{Agent: agents[0].Agent, Server: q.Server, Queues: []string{q.ID}}
	do := y.pbx.Pause
	if p.Text("action") == "unpause" {
		do = y.pbx.Resume
	}
	results, err := do(ctx, who, in)
	if err != nil {
		return nil, err
	}
	for _, r := range results.Results {
		if r.Result != control.OK {
			return nil, refuse("%s", r.Error)
		}
	}
	return ok, nil
}
