package dialplan

import (
	"reflect"
	"testing"
	"time"

	"ringhook/dialplan/kept"
)

// TestKept checks that what is stored of a call is read with every field.
func TestKept(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 15, 10, 42, s, 0, time.UTC) }
	visited := marker{UniqueID: "1.1", N: 2, What: "500"}
	c := &call{
		LinkedID: "1.1", Asterisk: "pbx", Direction: incoming, Began: at(1), Answered: at(2), Ended: at(3), Presumed: true, Seq: 4,
		Known: map[string]any{"callerid": "+49301"},
		Visits: []*visit{{
			Marker: visited, Began: at(4), Answered: at(5), Ended: at(6), WaitTime: 7, Agent: "101", Presumed: true, Untimed: true,
			EndedBy: "agent 9", Outcome: statusOther,
		}},
		Rings: []*ring{{Phone: "101", Visit: visited, Outgoing: true, Dialed: "5", Began: at(7), Answered: at(8), Ended: at(9), Presumed: true}},
	}
	state, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := kept.Decode(state)
	want := &kept.Call{
		LinkedID: "1.1", Asterisk: "pbx", Direction: "incoming", Began: at(1), Answered: at(2), Ended: at(3), Presumed: true, Seq: 4,
		Known: map[string]any{"callerid": "+49301"},
		Visits: []kept.Visit{{
			Marker: kept.Marker{UniqueID: "1.1", N: 2, What: "500"}, Began: at(4), Answered: at(5), Ended: at(6), WaitTime: 7, Agent: "101",
			Presumed: true, Untimed: true, EndedBy: "agent 9", Outcome: "other",
		}},
		Rings: []kept.Ring{{
			Phone: "101", Visit: kept.Marker{UniqueID: "1.1", N: 2, What: "500"}, Outgoing: true, Dialed: "5", Began: at(7), Answered: at(8),
			Ended: at(9), Presumed: true,
		}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	want.Known = nil
	if got, err := kept.DecodeTimes(state); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without parameters: got %+v, %v, want %+v", got, err, want)
	}
}
