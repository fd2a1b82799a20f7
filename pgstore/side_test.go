package pgstore

import (
	"errors"
	"log/slog"
	"testing"

	"ringhook/store/browse"
	"ringhook/test/wait"
)

// TestSideWithoutStandby checks that other data can be read while commits do not return, that changes of them fail at once, and
// that data which can be rebuilt wait for no standby.
func TestSideWithoutStandby(t *testing.T) {
	dsn := database(t)
	s := serve(t, dsn, slog.New(slog.DiscardHandler), nil)
	d := s.Side()
	set := func() error {
		return d.Write("set", nil, Do("insert into ringhook.setting (tenant, agent, name, value) values ($1, '7', 'x', $2) on conflict do nothing", "a\x00b"))
	}
	if err := set(); err != nil {
		t.Fatal(err)
	}
	restore := withoutStandby(t, dsn)
	wait.Until(t, func() bool { return errors.Is(s.Ready(), errSlow) }, "nothing is noticed: %v", s.Ready())
	if err := set(); !errors.Is(err, browse.ErrAway) {
		t.Errorf("a change: %v", err)
	}
	value := ""
	if err := d.Query("read", 0, Do("select value from ringhook.setting where tenant = $1"), func(scan func(...any) error) error { return scan(&value) }); err != nil || value != "a\uFFFDb" {
		t.Errorf("read %q, %v", value, err)
	}
	if n, err := d.WriteLoose("write", Do("insert into ringhook.trace (tenant, linkedid, at, body) values ($1, '1.1', now(), '')")); n != 1 || err != nil {
		t.Errorf("data that can be rebuilt: %d, %v", n, err)
	}
	restore()
	wait.Until(t, func() bool { return set() == nil }, "no change is possible")
	closeStore(t, s)
	if err := set(); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSideConflict checks that a change which has to make way for others is repeated.
func TestSideConflict(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, nil)
	exec(t, dsn, `create function ringhook.fail_once() returns trigger language plpgsql as $$ begin
		if nextval('ringhook.once') = 1 then raise exception 'once' using errcode = '40P01'; end if; return new; end $$`)
	exec(t, dsn, "create sequence ringhook.once; create trigger once before insert on ringhook.setting for each row execute function ringhook.fail_once()")
	if err := s.Side().Write("set", nil, Do("insert into ringhook.setting (tenant, agent, name, value) values ($1, '7', 'x', 'y')")); err != nil {
		t.Error(err)
	}
	if n := rows(t, dsn, "setting"); n != 1 {
		t.Errorf("%d rows", n)
	}
}
