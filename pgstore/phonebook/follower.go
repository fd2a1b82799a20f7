package phonebook

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/store/browse"
	"ringhook/store/phonebook"
)

const (
	// followEvery is the time between two looks at the generation.
	followEvery = time.Second
	// keepGone is the time for which removed numbers are kept for the nodes to see. A node that was away for longer copies
	// everything.
	keepGone = 10 * time.Minute
	// purgeEvery is the time between two removals of such numbers.
	purgeEvery = time.Minute
)

// Follower keeps a node's copy up to date.
type Follower struct {
	book *Phonebook
	copy *phonebook.Phonebook
	log  *slog.Logger
}

// NewFollower returns the follower of a copy in a node's folder.
func NewFollower(book *Phonebook, local *phonebook.Phonebook, log *slog.Logger) *Follower {
	return &Follower{book, local, log}
}

// Run keeps the copy up to date until the context ends. While the engine is away the copy stays as it is.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var purged time.Time
	for failing := false; ; {
		err := f.Step(ctx)
		if now := time.Now(); err == nil && now.Sub(purged) >= purgeEvery {
			purged = now
			err = f.book.purge(keepGone)
		}
		if err != nil && !failing && ctx.Err() == nil && !errors.Is(err, browse.ErrAway) { // else the log has it
			f.log.Warn("cannot update the copy of the phonebook, lookups use the one from before", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// state is the state of the phonebook in the engine.
type state struct {
	id                string // empty if there is none yet
	generation, floor int64
}

func (p *Phonebook) state() (s state, err error) {
	err = p.db.Query("read the generation of the phonebook", 0, pgstore.Do("select id, generation, floor from ringhook.phonebook_state where tenant = $1"),
		func(scan func(...any) error) error { return scan(&s.id, &s.generation, &s.floor) })
	return s, err
}

// Step brings the copy up to date. A folder's own phonebook stays as it is until the engine has one.
func (f *Follower) Step(ctx context.Context) error {
	now, err := f.book.state()
	if err != nil || now.id == "" {
		return err
	}
	source, generation, err := f.copy.Copied()
	switch {
	case err != nil:
		return err
	case source == now.id && generation == now.generation:
		return nil
	case source == now.id && generation < now.generation && generation >= now.floor:
		err = f.changes(ctx, generation, now.generation)
	default:
		err = f.all(ctx, source)
	}
	if err == nil {
		err = f.copy.SetCopied(now.id, now.generation)
	}
	return err
}

// changes copies what has changed after one generation, up to another.
func (f *Follower) changes(ctx context.Context, after, until int64) error {
	var gone []string
	err := f.book.db.Query("read the phonebook", 0, pgstore.Do("select number from ringhook.phonebook_gone where tenant = $1 and generation > $2 and generation <= $3", after, until),
		func(scan func(...any) error) error {
			var number string
			err := scan(&number)
			gone = append(gone, number)
			return err
		})
	if err == nil && len(gone) > 0 {
		err = f.copy.Follow(nil, gone)
	}
	number := ""
	for err == nil && ctx.Err() == nil {
		var page []lookup.Contact
		var generation int64
		err = f.book.db.Query("read the phonebook", 0, pgstore.Do(`select number, vars, generation from ringhook.phonebook
			where tenant = $1 and (generation, number) > ($2, $3) and generation <= $4 order by generation, number limit $5`, after, number, until, pageRows),
			func(scan func(...any) error) error {
				var c lookup.Contact
				var text string
				if err := scan(&c.Number, &text, &generation); err != nil {
					return err
				}
				var err error
				c.Vars, err = phonebook.DecodeVars([]byte(text))
				page = append(page, c)
				return err
			})
		if err == nil && len(page) > 0 {
			after, number = generation, page[len(page)-1].Number
			err = f.copy.Follow(page, nil)
		}
		if len(page) < pageRows {
			return err
		}
	}
	return errors.Join(err, ctx.Err())
}

// all copies the whole phonebook, piece by piece: a number that stays is found at any time.
func (f *Follower) all(ctx context.Context, source string) error {
	if n, err := f.copy.Len(); err != nil {
		return err
	} else if source == "" && n > 0 {
		file, err := f.copy.KeepAside()
		if err != nil {
			return err
		}
		f.log.Warn("phonebook of the folder is replaced by that of PostgreSQL", "numbers", n, "kept", file)
	}
	after := ""
	for ctx.Err() == nil {
		page, err := f.book.page(pgstore.Do(contactsAfter, after, "~", pageRows))
		if err != nil {
			return err
		}
		last := ""
		if len(page) == pageRows {
			last = page[pageRows-1].Number
		}
		if err := f.copy.Replace(after, last, page); err != nil || last == "" {
			return err
		}
		after = last
	}
	return ctx.Err()
}

// purge forgets removed numbers that are older than keep.
func (p *Phonebook) purge(keep time.Duration) error {
	return p.db.Write("forget removed numbers", nil, pgstore.Do(`with old as (
			delete from ringhook.phonebook_gone where tenant = $1 and at < clock_timestamp() - $2::interval returning generation
		)
		update ringhook.phonebook_state set floor = greatest(floor, (select max(generation) from old)) where tenant = $1 and exists (select from old)`, keep))
}
