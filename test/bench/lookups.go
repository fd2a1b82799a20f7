package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// crmLines returns a [[lookup]] of a CRM at a URL, whose timeout is the budget of a call
// and whose concurrency is above that of the sessions.
func crmLines(url, more string) string {
	return fmt.Sprintf("[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\", \"agent-dial\", \"call-hangup\"]\ntimeout = \"1500ms\"\nconcurrency = 256\nurl = %q\n%s\n", url+"?phone=%callerid%", more)
}

// manyCallers are agiload's flags for another caller in every session.
var manyCallers = []string{"-callers", "100000000"}

// uncached measures the additional time of a session that asks the CRM, compared with a
// bare request. Answers expire at once: each is written to the cache, and none is used
// by a later round.
func uncached(ctx context.Context, b *bench) error {
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	null, err := b.null(ctx)
	if err != nil {
		return err
	}
	asks, err := b.ringhook(ctx, "asks", filepath.Join(b.folder, "asks"), crmLines(crm.url("/who"), `cache = "1ms"`+"\n"+`stale = "1ms"`))
	if err != nil {
		return err
	}
	cached, err := b.ringhook(ctx, "cached", filepath.Join(b.folder, "cached"), crmLines(crm.url("/who"), `cache = "1h"`))
	if err != nil {
		return err
	}
	for _, level := range b.levelsOr("1,16") {
		n, err := strconv.Atoi(level)
		if err != nil {
			return err
		}
		var bare, base, without, with, over, overCached []float64
		for range b.rounds {
			request, err := bareRequests(crm.url("/who"), n, b.each)
			if err != nil {
				return err
			}
			if err := crm.reset(); err != nil {
				return err
			}
			taken, err := b.load(ctx, lookupPoint, []*server{null, asks}, level, manyCallers...)
			if err != nil {
				return err
			}
			if seen, err := crm.seen(); err != nil || seen.Asked < int64(taken[1].OK) {
				return errors.Join(err, fmt.Errorf("the CRM was asked %d times in %d sessions", seen.Asked, taken[1].OK))
			}
			hit, err := b.load(ctx, lookupPoint, []*server{cached}, level)
			if err != nil {
				return err
			}
			bare, base, without, with = append(bare, request), append(base, p50(taken[0])), append(without, p50(hit[0])), append(with, p50(taken[1]))
			over = append(over, p50(taken[1])-p50(taken[0])-request)
			overCached = append(overCached, p50(taken[1])-p50(hit[0])-request)
		}
		request, session := middle(bare), middle(with)
		b.add(result{What: "p50 of a lookup that is not cached, above null and a bare request", AtOnce: level,
			Baseline: middle(base) + request, Ringhook: session, Unit: "us", Figure: middle(over), Is: "us", AtMost: 120})
		b.add(result{What: "the same, above a cached lookup and a bare request", AtOnce: level,
			Baseline: middle(without) + request, Ringhook: session, Unit: "us", Figure: middle(overCached), Is: "us"})
	}
	return b.report()
}

// bareRequests asks the CRM with a bare client, n at once, and returns the median
// time of a request, in microseconds.
func bareRequests(url string, n int, each time.Duration) (float64, error) {
	var client fasthttp.Client
	defer client.CloseIdleConnections()
	client.MaxConnsPerHost = n
	took := make([][]float64, n)
	failed := make([]error, n)
	end := time.Now().Add(each)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var body []byte
			for k := 0; ; k++ {
				began := time.Now()
				if began.After(end) {
					return
				}
				status, got, err := client.GetDeadline(body[:0], fmt.Sprintf("%s?phone=%%2B4930%d", url, 1000000+k), began.Add(5*time.Second))
				if err != nil || status != fasthttp.StatusOK {
					failed[i] = fmt.Errorf("ask the CRM: status %d: %w", status, err)
					return
				}
				body = got
				took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/1000)
			}
		})
	}
	all.Wait()
	return middle(slices.Concat(took...)), errors.Join(failed...)
}

// small is the number of entries in the cache that is the baseline.
const small = 10_000

// bigCache measures a cached lookup among many numbers and among few. Both get
// the same callers in turn.
func bigCache(ctx context.Context, b *bench) error {
	if b.n <= small {
		return fmt.Errorf("-n must be more than %d", small)
	}
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	lines := fmt.Sprintf("store.cache_rows = %d\nstore.max_size = \"64GiB\"\n", 2*b.n) + crmLines(crm.url("/who"), `cache = "24h"`)
	few, err := b.ringhook(ctx, "few", filepath.Join(b.folder, "few"), lines)
	if err != nil {
		return err
	}
	folder := filepath.Join(b.folder, "many")
	many, err := b.ringhook(ctx, "many", folder, lines)
	if err != nil {
		return err
	}
	if err := errors.Join(b.prime(ctx, crm, few), b.prime(ctx, crm, many), b.end(many)); err != nil {
		return err
	}
	began := time.Now()
	if err := fillCache(ctx, folder, b.n-small); err != nil {
		return fmt.Errorf("fill a cache with %d numbers: %w", b.n, err)
	}
	note("%d numbers put there in %v", b.n, time.Since(began).Round(time.Second))
	if many, err = b.ringhook(ctx, "many", folder, lines); err != nil {
		return err
	}
	if err := crm.reset(); err != nil {
		return err
	}
	all, err := b.compare(ctx, lookupPoint, []*server{few, many}, b.levelsOr("1,16,128"), nil, "-callers", strconv.Itoa(small))
	if err != nil {
		return err
	}
	if seen, err := crm.seen(); err != nil || seen.Asked > 0 {
		return errors.Join(err, fmt.Errorf("the CRM was asked %d times for what should be in the cache", seen.Asked))
	}
	for _, l := range all {
		b.add(result{What: fmt.Sprintf("p50 of a cached lookup among %d numbers, beside %d", b.n, small), AtOnce: l.level,
			Baseline: median(l.runs[0], p50), Ringhook: median(l.runs[1], p50), Unit: "us", Figure: ratio(l.runs[1], l.runs[0], p50), AtMost: 1.25})
	}
	return b.report()
}

// prime repeats lookups of every caller until all are cached: an answer is dropped if the
// writer of the cache cannot keep up.
func (b *bench) prime(ctx context.Context, crm, s *server) error {
	whole := *b
	whole.each = 0 // a number of sessions, without a time
	for range 10 {
		if err := crm.reset(); err != nil {
			return err
		}
		_, err := whole.load(ctx, lookupPoint, []*server{s}, "8", "-n", strconv.Itoa(small), "-callers", strconv.Itoa(small), "-warmup", "0")
		if err != nil {
			return err
		}
		if seen, err := crm.seen(); err != nil || seen.Asked == 0 {
			return err
		}
	}
	return fmt.Errorf("%s does not keep what the CRM answers", s.name)
}
