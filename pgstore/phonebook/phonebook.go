// Package phonebook stores the administrator's own numbers and names in PostgreSQL, for all nodes. Each node has a copy in its
// folder, from which its lookups read: they never wait for the engine, and work while it is away.
package phonebook

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/store/phonebook"
)

// Phonebook is what commands change and list. It is safe for concurrent use.
type Phonebook struct{ db *pgstore.Side }

// New returns the phonebook of an open engine.
func New(s *pgstore.Store) *Phonebook { return &Phonebook{s.Side()} }

// Close does nothing: the engine is closed by itself.
func (p *Phonebook) Close() error { return nil }

// The row of the state is locked by each change until its commit, so that generations are committed in their order. $2 is the id
// of a new phonebook.
const nextGeneration = `insert into ringhook.phonebook_state as s (tenant, id, generation) values ($1, $2, 1)
	on conflict (tenant) do update set generation = s.generation + 1`

const thisGeneration = "(select generation from ringhook.phonebook_state where tenant = $1)"

// Put adds contacts, or replaces those with the same numbers: all of them or none. Of several for a number, the last counts.
func (p *Phonebook) Put(contacts []lookup.Contact) error {
	last := make(map[string]int, len(contacts))
	for i, c := range contacts {
		last[c.Number] = i
	}
	var numbers, vars []string
	for i, c := range contacts {
		if last[c.Number] != i {
			continue
		}
		text, err := phonebook.EncodeVars(c.Vars)
		if err != nil {
			return err
		}
		numbers, vars = append(numbers, c.Number), append(vars, text)
	}
	return p.db.Write("write to the phonebook", nil,
		pgstore.Do(nextGeneration, rand.Text()),
		pgstore.Do(`insert into ringhook.phonebook as p (tenant, number, vars, generation)
			select $1, number, vars, `+thisGeneration+` from unnest($2::text[], $3::text[]) u (number, vars)
			on conflict (tenant, number) do update set vars = excluded.vars, generation = excluded.generation where p.vars <> excluded.vars`, numbers, vars),
		pgstore.Do("delete from ringhook.phonebook_gone where tenant = $1 and number = any ($2::text[])", numbers))
}

// Remove removes a number, and reports whether it was there. Nodes learn of it within keepGone, or copy the whole phonebook.
func (p *Phonebook) Remove(number string) (removed bool, err error) {
	var had bool
	err = p.db.Write("remove from the phonebook", func(br pgx.BatchResults) error {
		if _, err := br.Exec(); err != nil {
			return err
		}
		done, err := br.Exec()
		had = done.RowsAffected() > 0
		return err
	}, pgstore.Do(nextGeneration, rand.Text()),
		pgstore.Do("delete from ringhook.phonebook where tenant = $1 and number = $2", number),
		pgstore.Do(`insert into ringhook.phonebook_gone (tenant, number, generation, at) values ($1, $2, `+thisGeneration+`, clock_timestamp())
			on conflict (tenant, number) do update set generation = excluded.generation, at = excluded.at`, number))
	return err == nil && had, err
}

// pageRows is the number of contacts that are read at once.
const pageRows = 2000

// Numbers are digits and +, all of which come before ~.
const contactsAfter = `select number, vars from ringhook.phonebook where tenant = $1 and number > $2 and number < $3 order by number limit $4`

// Each calls f with every contact whose number begins with prefix, in the order of the numbers, until f returns an error,
// which Each returns.
func (p *Phonebook) Each(ctx context.Context, prefix string, f func(lookup.Contact) error) error {
	page, err := p.page(pgstore.Do("select number, vars from ringhook.phonebook where tenant = $1 and number >= $2 and number < $3 order by number limit $4", prefix, prefix+"~", pageRows))
	for err == nil && ctx.Err() == nil {
		for _, c := range page {
			if err := f(c); err != nil {
				return err
			}
		}
		if len(page) < pageRows {
			return nil
		}
		page, err = p.page(pgstore.Do(contactsAfter, page[len(page)-1].Number, prefix+"~", pageRows))
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// page reads contacts.
func (p *Phonebook) page(q pgstore.Statement) (list []lookup.Contact, err error) {
	err = p.db.Query("read the phonebook", 0, q, func(scan func(...any) error) error {
		var c lookup.Contact
		var text string
		if err := scan(&c.Number, &text); err != nil {
			return err
		}
		var err error
		c.Vars, err = phonebook.DecodeVars([]byte(text))
		list = append(list, c)
		return err
	})
	return list, err
}

// namesTime bounds the read of the names of all variables.
const namesTime = time.Minute

// Names returns the names of all variables of the contacts, sorted.
func (p *Phonebook) Names(context.Context) (names []string, err error) {
	err = p.db.Query("read the phonebook", namesTime, pgstore.Do(`select distinct name collate "C" from ringhook.phonebook, json_object_keys(vars::json) name where tenant = $1 order by 1`),
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	return names, err
}

// Len returns the number of contacts.
func (p *Phonebook) Len() (n int, err error) {
	err = p.db.Query("read the phonebook", namesTime, pgstore.Do("select count(*) from ringhook.phonebook where tenant = $1"), func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

// Find returns the variables of a number as the engine has them now, none if the phonebook does not contain it.
func (p *Phonebook) Find(number string) ([]lookup.Var, error) {
	list, err := p.page(pgstore.Do("select number, vars from ringhook.phonebook where tenant = $1 and number = $2", number))
	if len(list) == 0 {
		return nil, err
	}
	return list[0].Vars, err
}
