// Package credentials stores the tokens that other systems issue to ringhook in PostgreSQL, for all nodes: what
// store/credentials stores in a file.
package credentials

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/account"
	"ringhook/directory"
	"ringhook/pgstore"
)

// Credentials is what one node, or a command, uses. It is safe for concurrent use.
type Credentials struct {
	db *pgstore.Side

	mu   sync.Mutex
	held map[string]string // the locks of accounts that are held: from the name to the holder; guarded by mu
}

var (
	_ account.Vault   = (*Credentials)(nil)
	_ directory.Shelf = (*Credentials)(nil)
)

// New returns the credentials of an open engine.
func New(s *pgstore.Store) *Credentials {
	return &Credentials{db: s.Side(), held: map[string]string{}}
}

// Close does nothing: the engine is closed by itself.
func (s *Credentials) Close() error { return nil }

const states = "select name, refresh, seed, access, expiry, refreshed, started, failure, failed, refused from ringhook.account where tenant = $1"

// Load returns the state of an account, the zero State if nothing is stored. It is part of account.Vault.
func (s *Credentials) Load(name string) (st account.State, err error) {
	err = s.each(pgstore.Do(states+" and name = $2", name), func(_ string, found account.State) { st = found })
	return st, err
}

// States returns the states of all accounts that are stored, by name.
func (s *Credentials) States() (map[string]account.State, error) {
	all := map[string]account.State{}
	err := s.each(pgstore.Do(states), func(name string, st account.State) { all[name] = st })
	return all, err
}

func (s *Credentials) each(q pgstore.Statement, take func(name string, st account.State)) error {
	return s.db.Query("read accounts", 0, q, func(scan func(...any) error) error {
		var st account.State
		var name string
		var expiry, refreshed, started, failed *time.Time
		if err := scan(&name, &st.Refresh, &st.Seed, &st.Access, &expiry, &refreshed, &started, &st.Failure, &failed, &st.Refused); err != nil {
			return err
		}
		st.Expiry, st.Refreshed, st.Started, st.Failed = at(expiry), at(refreshed), at(started), at(failed)
		take(name, st)
		return nil
	})
}

// errLockLost means that a node had no contact with the engine for longer than the lock of an account lasts. Another one may
// have replaced the token since.
var errLockLost = errors.New("the lock of the account has ended meanwhile: another node may have requested a token")

const save = `insert into ringhook.account (tenant, name, refresh, seed, access, expiry, refreshed, started, failure, failed, refused)
	select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
	where $12 = '' or exists (select from ringhook.hold where tenant = $1 and name = $13 and holder = $12)
	on conflict (tenant, name) do update set refresh = excluded.refresh, seed = excluded.seed, access = excluded.access, expiry = excluded.expiry,
		refreshed = excluded.refreshed, started = excluded.started, failure = excluded.failure, failed = excluded.failed, refused = excluded.refused`

// Save stores the state of an account. It is part of account.Vault. If the account's lock was taken and is lost since, it stores
// nothing.
func (s *Credentials) Save(name string, st account.State) error {
	s.mu.Lock()
	holder := s.held[name]
	s.mu.Unlock()
	n, err := s.exec("store the token of an account", pgstore.Do(save, name, st.Refresh, st.Seed, st.Access, null(st.Expiry), null(st.Refreshed), null(st.Started), st.Failure,
		null(st.Failed), st.Refused, holder, lockOf(name)))
	if err == nil && n == 0 {
		err = fmt.Errorf("store the token of an account: %w", errLockLost)
	}
	return err
}

// Remove removes what is stored of an account, and reports whether there was anything.
func (s *Credentials) Remove(name string) (removed bool, err error) {
	n, err := s.exec("remove an account", pgstore.Do("delete from ringhook.account where tenant = $1 and name = $2", name))
	return n > 0, err
}

// secretSize is the size of a random secret in bytes.
const secretSize = 32

// Secret returns a random secret of this installation. The first call makes it.
func (s *Credentials) Secret(name string) (value []byte, err error) {
	fresh := make([]byte, secretSize)
	rand.Read(fresh)
	// The row is read by the statement after it: another node may have made it at the same time.
	var stored []byte
	err = s.db.Write("read a secret", func(br pgx.BatchResults) error {
		if _, err := br.Exec(); err != nil {
			return err
		}
		return br.QueryRow().Scan(&stored)
	}, pgstore.Do("insert into ringhook.secret (tenant, name, value) values ($1, $2, $3) on conflict (tenant, name) do nothing", name, fresh),
		pgstore.Do("select value from ringhook.secret where tenant = $1 and name = $2", name))
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// AgentIDs returns the ids of agents that a [[agents]] table fetched last.
func (s *Credentials) AgentIDs(source string) (list []directory.AgentID, err error) {
	err = s.db.Query("read ids of agents", 0, pgstore.Do("select matches, value, id from ringhook.agent_id where tenant = $1 and source = $2 order by n", source),
		func(scan func(...any) error) error {
			var a directory.AgentID
			err := scan(&a.Field, &a.Value, &a.ID)
			list = append(list, a)
			return err
		})
	return list, err
}

// SetAgentIDs stores the ids of agents that a [[agents]] table fetched, in place of the earlier ones.
func (s *Credentials) SetAgentIDs(source string, list []directory.AgentID) error {
	var fields, values, ids []string
	for _, a := range list {
		fields, values, ids = append(fields, a.Field), append(values, a.Value), append(ids, a.ID)
	}
	return s.db.Write("store ids of agents", nil,
		pgstore.Do("delete from ringhook.agent_id where tenant = $1 and source = $2 and n >= $3", source, len(list)),
		pgstore.Do(`insert into ringhook.agent_id (tenant, source, n, matches, value, id)
			select $1, $2, n - 1, field, value, id from unnest($3::text[], $4::text[], $5::text[]) with ordinality u (field, value, id, n)
			on conflict (tenant, source, n) do update set matches = excluded.matches, value = excluded.value, id = excluded.id`, source, fields, values, ids))
}

const (
	// lockEvery is the time between two attempts to get a lock that another one holds.
	lockEvery = 100 * time.Millisecond
	// lockTime is the time after which the lock of a node that has ended is free. A request for a token takes less.
	lockTime = 2 * time.Minute
)

func lockOf(account string) string { return "account " + account }

const (
	// A lock that lasts longer than a new one would is from before the engine's clock was set back.
	lock = `insert into ringhook.hold as h (tenant, name, holder, until) values ($1, $2, $3, clock_timestamp() + $4::interval)
		on conflict (tenant, name) do update set holder = excluded.holder, until = excluded.until where h.until < clock_timestamp() or h.until > excluded.until`
	unlock = "delete from ringhook.hold where tenant = $1 and name = $2 and holder = $3"
)

// Lock waits until no other node and no other goroutine holds the lock of an account, or until ctx ends. The lock of a node that
// has ended is free after lockTime. It is part of account.Vault.
func (s *Credentials) Lock(ctx context.Context, name string) (unlockIt func(), err error) {
	holder := rand.Text()
	ticker := time.NewTicker(lockEvery)
	defer ticker.Stop()
	for {
		n, err := s.exec("lock an account", pgstore.Do(lock, lockOf(name), holder, lockTime))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("another request for a token is in progress")
		case <-ticker.C:
		}
	}
	s.mu.Lock()
	s.held[name] = holder
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.held, name)
		s.mu.Unlock()
		// If that fails, the lock ends by itself.
		_, _ = s.exec("unlock an account", pgstore.Do(unlock, lockOf(name), holder))
	}, nil
}

// exec runs a statement and returns the number of rows that it changed, 0 after an error.
func (s *Credentials) exec(op string, q pgstore.Statement) (n int, err error) {
	var changed int64
	err = s.db.Write(op, func(br pgx.BatchResults) error {
		done, err := br.Exec()
		changed = done.RowsAffected()
		return err
	}, q)
	if err != nil {
		return 0, err
	}
	return int(changed), nil
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Local()
}

func null(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
