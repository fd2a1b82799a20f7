package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"ringhook/loglimit"
	"ringhook/pgstore"
	"ringhook/store/spooled"
)

// picky is an engine that takes the results of no event with a bad number.
type picky struct {
	Engine
	bad   map[int64]pgstore.Class
	taken []int64
}

// TakeResults implements Taker.
func (p *picky) TakeResults(_ context.Context, events []spooled.Event) error {
	for _, e := range events {
		if class := p.bad[e.Row]; class != "" {
			return &pgstore.Fault{Op: "take", Class: class, Err: errors.New("bad")}
		}
	}
	for _, e := range events {
		p.taken = append(p.taken, e.Row)
	}
	return nil
}

// TestRefusedResult checks that the results after one that PostgreSQL refuses are reported, and that none is left out while it is
// away.
func TestRefusedResult(t *testing.T) {
	var events []spooled.Event
	for n := range int64(5) {
		events = append(events, spooled.Event{Row: n, LinkedID: fmt.Sprint("1.", n)})
	}
	for _, c := range []struct {
		class pgstore.Class
		taken []int64
	}{{pgstore.Refused, []int64{0, 1, 2, 4}}, {pgstore.Away, nil}} {
		engine := &picky{bad: map[int64]pgstore.Class{3: c.class}}
		limit := loglimit.New(slog.New(slog.DiscardHandler), time.Minute)
		err := (&Cluster{engine: engine, limit: limit}).takeResults(t.Context(), events)
		limit.Close()
		if (err != nil) != (c.class == pgstore.Away) || !slices.Equal(engine.taken, c.taken) {
			t.Errorf("%s: taken are %v, %v", c.class, engine.taken, err)
		}
	}
}

// TestUnusable checks which faults of forwarding open the breaker.
func TestUnusable(t *testing.T) {
	for class, want := range map[pgstore.Class]bool{
		pgstore.Away: true, pgstore.Doubt: true, pgstore.Full: true,
		pgstore.Conflict: false, pgstore.Crowded: false, pgstore.Refused: false, pgstore.Other: false,
	} {
		err := fmt.Errorf("forward: %w", &pgstore.Fault{Op: "take", Class: class, Err: errors.New("x")})
		if unusable(err) != want {
			t.Errorf("%s: %v", class, !want)
		}
	}
	if unusable(errors.New("the folder cannot be read")) {
		t.Error("an error of the folder")
	}
}
