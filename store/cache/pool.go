package cache

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"ringhook/lookup"
	"ringhook/store/sqlite"
)

// readers is the maximum number of concurrent reads. A further one waits, for some
// microseconds.
const readers = 8

// pool is an open cache, to read from. The one question that every call
// asks goes straight to the driver: through database/sql it takes twice as long.
type pool struct {
	db      *sql.DB
	getters chan *getter // closed with the pool
}

// getter is a connection with the question prepared.
type getter struct {
	c     driver.Conn
	stmt  driver.Stmt
	query driver.StmtQueryContext // the same
}

func (g *getter) close() error { return errors.Join(g.stmt.Close(), g.c.Close()) }

func openPool(o sqlite.Options) (*pool, error) {
	db, err := o.Pool(1)
	if err != nil {
		return nil, err
	}
	p := &pool{db: db, getters: make(chan *getter, readers)}
	o.ReadOnly = true
	for range readers {
		g, err := openGetter(o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s for reading: %w", o.Path, err), p.close(len(p.getters)))
		}
		p.getters <- g
	}
	return p, nil
}

func openGetter(o sqlite.Options) (*getter, error) {
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

// get reads one entry; found is false if there is none, or the pool is closed.
func (p *pool) get(id int64) (e lookup.Entry, usedMS int64, found bool, err error) {
	g := <-p.getters
	if g == nil {
		return e, 0, false, nil
	}
	defer func() { p.getters <- g }()
	rows, err := g.query.QueryContext(context.Background(), []driver.NamedValue{{Ordinal: 1, Value: id}})
	if err != nil {
		return e, 0, false, err
	}
	var row [8]driver.Value
	err = rows.Next(row[:])
	if err = errors.Join(err, rows.Close()); errors.Is(err, io.EOF) {
		return e, 0, false, nil
	}
	if err != nil {
		return e, 0, false, err
	}
	e.Key, _ = row[0].(string)
	e.Lookup, _ = row[1].(string)
	e.Number, _ = row[2].(string)
	e.Missing = row[3] == int64(1)
	e.Vars, _ = row[4].([]byte)
	storedMS, _ := row[5].(int64)
	expiresMS, _ := row[6].(int64)
	usedMS, _ = row[7].(int64)
	e.Stored, e.Expires = sqlite.FromMS(storedMS), sqlite.FromMS(expiresMS)
	return e, usedMS, true, nil
}

// close waits for those who read, and closes n getters and the rest.
func (p *pool) close(n int) error {
	var err error
	for range n {
		err = errors.Join(err, (<-p.getters).close())
	}
	close(p.getters)
	return errors.Join(err, p.db.Close())
}
