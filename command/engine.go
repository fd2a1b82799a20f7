package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ringhook/conf"
	"ringhook/pgstore"
	"ringhook/pgstore/adopt"
	"ringhook/store"
)

type engineCmd struct {
	Init  engineInitCmd  `cmd:"" help:"Create or update ringhook's schema in the database."`
	Check engineCheckCmd `cmd:"" help:"Check whether the database works, and what a commit promises."`
}

// engineTime is the maximum duration of a command about the engine.
const engineTime = 2 * time.Minute

// withEngine calls do with the configuration if its store is PostgreSQL.
func withEngine(s *streams, do func(ctx context.Context, cfg *conf.Config) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if cfg.Store.Type != store.Postgres {
		return fmt.Errorf("[store] type is %q: set type = %q and dsn first", cfg.Store.Type, store.Postgres)
	}
	ctx, cancel := context.WithTimeout(s.ctx, engineTime)
	defer cancel()
	return do(ctx, cfg)
}

type engineInitCmd struct{}

// Run creates the schema, or applies the steps that it lacks. What the folder has of agents, programs and numbers is copied to a
// database that has none.
func (*engineInitCmd) Run(s *streams) error {
	return withEngine(s, func(ctx context.Context, cfg *conf.Config) error {
		before, now, err := pgstore.Init(ctx, cfg.Store.DSN)
		if err != nil {
			return fmt.Errorf("set up PostgreSQL (%s): %w", pgstore.Address(cfg.Store.DSN), err)
		}
		what := fmt.Sprintf("schema ringhook is up to date (version %d): nothing to do", now)
		switch {
		case before == 0:
			what = fmt.Sprintf("schema ringhook created (version %d)", now)
		case before < now:
			what = fmt.Sprintf("schema ringhook updated from version %d to %d", before, now)
		}
		fmt.Fprintf(s.out, "%s: %s\n", pgstore.Address(cfg.Store.DSN), what)
		engine, err := openEngine(s, cfg)
		if err != nil {
			return err
		}
		files, err := adopt.Folder(ctx, engine, cfg.Store.Folder)
		if len(files) > 0 {
			fmt.Fprintf(s.out, "copied to it from %s: %s\n", cfg.Store.Folder, listed(files))
		}
		return errors.Join(err, engine.Close())
	})
}

type engineCheckCmd struct{}

// Run prints what is found out about the engine. It fails if ringhook cannot work with it.
func (*engineCheckCmd) Run(s *streams) error {
	return withEngine(s, func(ctx context.Context, cfg *conf.Config) error {
		r, err := pgstore.Inspect(ctx, pgstore.Config{DSN: cfg.Store.DSN})
		if err != nil {
			return fmt.Errorf("reach PostgreSQL (%s): %w", pgstore.Address(cfg.Store.DSN), err)
		}
		printEngine(s.out, pgstore.Address(cfg.Store.DSN), r)
		if len(r.Faults) > 0 {
			return errors.New("ringhook cannot work with this database, see above")
		}
		return nil
	})
}

func printEngine(out io.Writer, address string, r *pgstore.Report) {
	fmt.Fprintf(out, "PostgreSQL %s, %s\n", r.Server, address)
	fmt.Fprintf(out, "round trip: %s\n", milliseconds(r.RoundTrip))
	if r.Commit > 0 {
		fmt.Fprintf(out, "commit: %s\n", milliseconds(r.Commit))
	}
	fmt.Fprintf(out, "clock: this machine is %s\n", aheadOf(r.Ahead))
	schema := fmt.Sprintf("version %d", r.Schema)
	if r.Schema == 0 {
		schema = "none: run ringhook engine init"
	}
	fmt.Fprintf(out, "schema: %s\n", schema)
	served := "no ringhook"
	if r.Served {
		served = "a ringhook"
	}
	fmt.Fprintf(out, "served: %s has the database open to serve calls\n", served)
	fmt.Fprintf(out, "synchronous_commit: %s (set by ringhook), synchronous_standby_names: %s\n", r.Synchronous, cmp.Or(r.Standbys, "empty"))
	for _, p := range r.Replicas {
		if p.State == "" {
			fmt.Fprintf(out, "replica %s: hidden from the user of dsn\n", printable(p.Name))
			continue
		}
		fmt.Fprintf(out, "replica %s at %s: %s, %s\n", printable(cmp.Or(p.Name, "unknown")), cmp.Or(p.Address, "a socket"), p.State, p.Sync)
	}
	if r.Safe() {
		fmt.Fprintln(out, "a commit is on two machines before a point is answered OK")
	} else if r.Standbys == "" {
		fmt.Fprintln(out, "a commit is on one machine when a point is answered OK: what is not copied yet is lost with its disk; see synchronous_standby_names in docs/cluster.md")
	}
	for _, d := range r.Doubts {
		fmt.Fprintln(out, "warning:", d)
	}
	for _, f := range r.Faults {
		fmt.Fprintln(out, "fault:", f)
	}
}

// aheadOf describes the difference of two clocks.
func aheadOf(d time.Duration) string {
	if d < 0 {
		return milliseconds(-d) + " behind"
	}
	return milliseconds(d) + " ahead"
}
