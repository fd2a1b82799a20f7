package figures

import (
	"fmt"
	"time"

	"ringhook/store/desk"
)

// States reads the stored states of agents.
type States interface {
	AgentStates(agent string, from, to time.Time) ([]desk.AgentState, error)
}

// seenWithin is the time after which a state that lasts but was not seen again has ended.
const seenWithin = 5 * time.Minute

// ReadTimes returns how long each agent was logged in and paused, and served each queue, since midnight, by id.
func ReadTimes(from States, now time.Time) (map[string]Times, error) {
	start := startOfDay(now)
	states, err := from.AgentStates("", start, now)
	if err != nil {
		return nil, fmt.Errorf("read the states of agents: %w", err)
	}
	times := map[string]Times{}
	for i := range states {
		s := &states[i]
		begin, end := s.From, s.To
		if begin.Before(start) {
			begin = start
		}
		if s.Open && now.Sub(end) < seenWithin {
			end = now
		}
		t := times[s.Agent]
		switch s.State {
		case desk.AgentIn:
			t.LoggedIn += int64(seconds(begin, end))
		case desk.AgentPaused:
			t.Paused += int64(seconds(begin, end))
		case desk.AgentServes:
			if t.Served == nil {
				t.Served = map[string]int64{}
			}
			t.Served[s.Reason] += int64(seconds(begin, end))
		}
		times[s.Agent] = t
	}
	return times, nil
}
