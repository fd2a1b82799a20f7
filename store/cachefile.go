package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"

	"ringhook/lookup"
)

// cacheReaders is how many calls read the cache at once; the next one waits
// for one of them, some microseconds.
const cacheReaders = 8

// cachePool is an open cache, to read from. The one question that every call
// asks goes straight to the driver: through database/sql it takes twice as long.
// It is asked by goroutines of the pool, since SQLite needs more stack than all the rest
// of a session, which may have to wait for its CRM with that.
type cachePool struct {
	db      *sql.DB
	wanted  chan *wantedEntry // closed with the pool
	getters sync.WaitGroup

	mu     sync.RWMutex
	closed bool // guarded by mu
}

// wantedEntry is a question to the cache, and its answer.
type wantedEntry struct {
	id     int64
	entry  lookup.Entry
	usedMS int64
	found  bool
	err    error
	done   chan struct{} // gets one value with each answer
}

var wantedEntries = sync.Pool{New: func() any { return &wantedEntry{done: make(chan struct{}, 1)} }}

// getter is a connection with the question prepared.
type getter struct {
	c     driver.Conn
	stmt  driver.Stmt
	query driver.StmtQueryContext // the same
}

func (g *getter) close() error { return errors.Join(g.stmt.Close(), g.c.Close()) }

func (o opening) cachePool() (*cachePool, error) {
	db, err := o.pool(1)
	if err != nil {
		return nil, err
	}
	p := &cachePool{db: db, wanted: make(chan *wantedEntry, cacheReaders)}
	o.readOnly = true
	for range cacheReaders {
		g, err := o.getter()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s for reading: %w", o.path, err), p.close())
		}
		p.getters.Go(func() { g.run(p.wanted) })
	}
	return p, nil
}

func (o opening) getter() (*getter, error) {
	c, err := o.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	stmt, err := c.Prepare(getEntry)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	query, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.Join(errors.New("this SQLite driver cannot be asked directly"), stmt.Close(), c.Close())
	}
	return &getter{c: c, stmt: stmt, query: query}, nil
}

const getEntry = `select key, lookup, number, missing, vars, stored_ms, expires_ms, used_ms from entry where id = ?`

// get reads one entry; found is false where there is none, or the pool is closed.
func (p *cachePool) get(id int64) (e lookup.Entry, usedMS int64, found bool, err error) {
	w := wantedEntries.Get().(*wantedEntry)
	w.id = id
	p.mu.RLock()
	if p.closed {
		p.mu.RUnlock()
		return e, 0, false, nil
	}
	p.wanted <- w
	p.mu.RUnlock()
	<-w.done
	e, usedMS, found, err = w.entry, w.usedMS, w.found, w.err
	*w = wantedEntry{done: w.done}
	wantedEntries.Put(w)
	return e, usedMS, found, err
}

// run answers until the pool is closed.
func (g *getter) run(wanted <-chan *wantedEntry) {
	for w := range wanted {
		g.get(w)
		w.done <- struct{}{}
	}
	_ = g.close() // it has only read
}

func (g *getter) get(w *wantedEntry) {
	rows, err := g.query.QueryContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: w.id}})
	if err != nil {
		w.err = err
		return
	}
	var row [8]driver.Value
	err = rows.Next(row[:])
	if err = errors.Join(err, rows.Close()); errors.Is(err, io.EOF) {
		return
	}
	if err != nil {
		w.err = err
		return
	}
	e := &w.entry
	e.Key, _ = row[0].(string)
	e.Lookup, _ = row[1].(string)
	e.Number, _ = row[2].(string)
	e.Missing = row[3] == int64(1)
	e.Vars, _ = row[4].([]byte)
	storedMS, _ := row[5].(int64)
	expiresMS, _ := row[6].(int64)
	w.usedMS, _ = row[7].(int64)
	e.Stored, e.Expires = fromMS(storedMS), fromMS(expiresMS)
	w.found = true
}

// close waits for those who read.
func (p *cachePool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.wanted)
	p.getters.Wait()
	return p.db.Close()
}
