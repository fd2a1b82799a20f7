package desk_test

import (
	"testing"

	"ringhook/pgstore/desk"
	"ringhook/pgstore/sidetest"
	"ringhook/store/storetest"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

// opener returns a function that opens the desk of a new database, with one that opens it as another node does.
func opener[T any](of func(*desk.Desk) T) func(t *testing.T) (T, func() T) {
	return func(t *testing.T) (T, func() T) {
		dsn := sidetest.Database(t)
		return of(desk.New(sidetest.Open(t, dsn))), func() T { return of(desk.New(sidetest.Open(t, dsn))) }
	}
}

func TestDesk(t *testing.T) {
	storetest.RunDesk(t, opener(func(d *desk.Desk) storetest.Desk { return d }))
}

func TestShared(t *testing.T) {
	storetest.RunSharedDesk(t, func(t *testing.T) (a, b storetest.Node) {
		dsn := sidetest.Database(t)
		return desk.New(sidetest.Open(t, dsn)), desk.New(sidetest.Open(t, dsn))
	})
}

func TestAccounts(t *testing.T) {
	storetest.RunAccounts(t, opener(func(d *desk.Desk) storetest.Accounts { return d }))
}
