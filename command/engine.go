package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/conf"
	"ringhook/pgstore"
	"ringhook/pgstore/adopt"
	"ringhook/pgstore/node"
	"ringhook/store"
	"ringhook/store/browse"
)

type engineCmd struct {
	Init   engineInitCmd   `cmd:"" help:"Create or update ringhook's schema in the database."`
	Check  engineCheckCmd  `cmd:"" help:"Check whether the database works, and what a commit promises."`
	Status engineStatusCmd `cmd:"" help:"Show the nodes, and which of them delivers for which hook."`
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
	var live []string
	for _, n := range r.Nodes {
		if n.Live {
			live = append(live, printable(n.Name))
		}
	}
	fmt.Fprintf(out, "served by: %s\n", cmp.Or(strings.Join(live, ", "), "no ringhook"))
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

type engineStatusCmd struct{}

// Run prints the nodes that share the database, and what each hook waits for.
func (*engineStatusCmd) Run(s *streams) error {
	return withEngine(s, func(ctx context.Context, cfg *conf.Config) (err error) {
		engine, err := pgstore.Open(ctx, pgstore.Config{DSN: cfg.Store.DSN}, s.warnings())
		if err != nil {
			return fmt.Errorf("open PostgreSQL (%s): %w", pgstore.Address(cfg.Store.DSN), err)
		}
		defer func() { err = errors.Join(err, engine.Close()) }()
		nodes, leases, err := engine.Nodes()
		if err != nil {
			return err
		}
		counts, err := engine.Operator().HookCounts()
		if err != nil {
			return err
		}
		return errors.Join(printNodes(s.out, nodes), printLeases(s.out, leases, counts))
	})
}

func printNodes(out io.Writer, nodes []node.Node) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tVERSION\tSEEN\tCLOCK\tCONFIGURATION")
	var first *node.Node // that is alive
	for i := range nodes {
		n := &nodes[i]
		seen, configured := "now", "same"
		switch {
		case !n.Live:
			seen, configured = n.Seen.Round(time.Second).String()+" ago", "-"
		case first == nil:
			first = n
		default:
			if parts := node.Different(first.Config, n.Config); len(parts) > 0 {
				configured = fmt.Sprintf("differs from %s: %s", printable(first.Name), printable(strings.Join(parts, ", ")))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(n.Name), cmp.Or(n.Address, "a socket"), printable(n.Version), seen, aheadOf(n.Ahead), configured)
	}
	return w.Flush()
}

// printLeases prints the hooks, and which node delivers for each.
func printLeases(out io.Writer, leases []node.Granted, counts []browse.HookCounts) error {
	holder := map[string]string{}
	for _, l := range leases {
		holder[l.Name] = printable(l.Node)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nHOOK\tPENDING\tDEAD\tDELIVERED BY")
	for _, c := range counts {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", printable(c.Hook), c.Pending, c.Dead, cmp.Or(holder[c.Hook], "no node"))
	}
	fmt.Fprintf(w, "\nupkeep of the tables:\t%s\n", cmp.Or(holder[node.Upkeep], "no node"))
	fmt.Fprintf(w, "end of idle calls:\t%s\n", cmp.Or(holder[node.IdleCalls], "no node"))
	return w.Flush()
}
