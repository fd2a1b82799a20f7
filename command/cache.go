package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
)

type cacheCmd struct {
	Show   cacheShowCmd   `cmd:"" help:"Show the cached answers for a number."`
	Forget cacheForgetCmd `cmd:"" help:"Forget the cached answers for a number."`
	Clear  cacheClearCmd  `cmd:"" help:"Forget all cached answers."`
}

// answerStore is where commands find and remove the answers of lookups.
type answerStore interface {
	Show(number string) ([]lookup.Entry, error)
	Forget(ctx context.Context, number string) (int, error)
	Clear(ctx context.Context) error
	Len() int
}

// withCache calls do with the cache, also while a server runs on it, and with the number
// as the cache has it.
func withCache(s *streams, raw string, do func(c answerStore, number string) error) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	caller := number.NewReader(cfg.Number).Normalize(raw).String()
	if raw != "" && caller == "" {
		return notANumber(raw)
	}
	return do(st.cache(), caller)
}

type cacheShowCmd struct {
	Number string `arg:"" help:"The caller's number, as a trunk delivers it."`
}

// Run prints the cached answers for a number.
func (c *cacheShowCmd) Run(s *streams) error {
	return withCache(s, c.Number, func(cache answerStore, number string) error {
		entries, err := cache.Show(number)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			if !hasDigit(number) {
				return noNumber(c.Number)
			}
			fmt.Fprintf(s.out, "nothing is kept for %s\n", printable(number))
		}
		for _, e := range entries {
			printEntry(s.out, e, time.Now())
		}
		return nil
	})
}

func printEntry(w io.Writer, e lookup.Entry, now time.Time) {
	fmt.Fprintf(w, "%s, answered %s ago, ", e.Lookup, now.Sub(e.Stored).Round(time.Second))
	if left := e.Expires.Sub(now).Round(time.Second); left > 0 {
		fmt.Fprintf(w, "kept %s more\n", left)
	} else {
		fmt.Fprintln(w, "past its time")
	}
	if e.Missing {
		fmt.Fprintln(w, "  NOTFOUND: no customer has this number")
	}
	vars, readable := e.Variables()
	if !readable {
		fmt.Fprintln(w, "  written by another version, and not used")
	}
	for _, v := range vars {
		fmt.Fprintf(w, "  %s = %s\n", printable(v.Name), printable(v.Value))
	}
}

type cacheForgetCmd struct {
	Number string `arg:"" help:"The caller's number, as a trunk delivers it."`
}

// Run removes the cached answers for a number.
func (c *cacheForgetCmd) Run(s *streams) error {
	return withCache(s, c.Number, func(cache answerStore, number string) error {
		ctx, cancel := context.WithTimeout(s.ctx, store.Wait)
		defer cancel()
		n, err := cache.Forget(ctx, number)
		if err == nil && n == 0 && !hasDigit(number) {
			err = noNumber(c.Number)
		}
		if err == nil {
			fmt.Fprintf(s.out, "%d answers for %s forgotten; a running server follows within seconds\n", n, printable(number))
		}
		return err
	})
}

type cacheClearCmd struct{}

// Run removes all cached answers.
func (c *cacheClearCmd) Run(s *streams) error {
	return withCache(s, "", func(cache answerStore, _ string) error {
		n := cache.Len()
		err := cache.Clear(s.ctx)
		if err == nil {
			fmt.Fprintf(s.out, "%d answers forgotten; a running server follows within seconds\n", n)
		}
		return err
	})
}
