package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/test/wait"
)

// TestYield checks that a command leaves the outbox to the server after each of its batches.
func TestYield(t *testing.T) {
	s := testStore(t, time.Now)
	fillPending(t, s, operatorRows+1)
	tool, err := OpenTool(s.folder, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	tool.yieldTime = time.Hour
	ids, err := tool.Operator().Changeable(Filter{States: []hooks.State{hooks.Pending}})
	if err != nil || len(ids) != operatorRows+1 {
		t.Fatalf("%d deliveries, %v", len(ids), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	n := 0
	go func() {
		var err error
		n, err = tool.Operator().Drop(ctx, ids...)
		done <- err
	}()
	wait.Until(t, func() bool {
		dropped, err := s.Operator().IDs(Filter{States: []hooks.State{hooks.Dropped}})
		if err != nil {
			t.Fatal(err)
		}
		return len(dropped) == operatorRows
	}, "the first batch is not dropped")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || n != operatorRows {
		t.Errorf("dropped %d, %v, want %d", n, err, operatorRows)
	}
	if n, err := s.Operator().Drop(t.Context(), ids...); n != 1 || err != nil {
		t.Errorf("the server dropped %d, %v, want the one that is left", n, err)
	}
}
