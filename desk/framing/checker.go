package framing

import (
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// valid is the time for which the answer of a page is used.
	valid = 10 * time.Minute
	// maxKnown is the maximum number of answers, and maxAsking that of questions at once.
	maxKnown, maxAsking = 256, 4
	// askTime is the longest time for which a page is asked.
	askTime = 5 * time.Second
)

// Checker remembers which pages allow no frames. Pages of one host whose paths begin alike count as one, so that a CRM is not
// asked about each customer. Make one with NewChecker. Its methods may be called concurrently.
type Checker struct {
	ask func(page, desk string, deadline time.Time) Result
	now func() time.Time

	mu     sync.Mutex
	known  map[string]answer
	asking int
}

type answer struct {
	why string // empty if frames are allowed, or that is not known
	at  time.Time
}

// NewChecker returns a checker that knows no page, and asks by Head or a function like it.
func NewChecker(ask func(page, desk string, deadline time.Time) Result) *Checker {
	return &Checker{ask: ask, now: time.Now, known: map[string]answer{}}
}

// Refuses returns why a page allows no frame of a desk, "" if it does or that is not known. In the second case the page is asked
// once in ten minutes for its headers, without its query: that may have effects. start runs the question in the background, and
// report is called if the page refuses.
func (c *Checker) Refuses(page, desk string, start func(func()), report func(why string)) string {
	u, err := url.Parse(page)
	if err != nil || u.Host == "" {
		return ""
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	key := u.Scheme + "://" + u.Host + "/" + first
	now := c.now()
	why, unknown := c.look(key, now)
	if !unknown {
		return why
	}
	start(func() {
		r := c.ask(u.String(), desk, time.Now().Add(askTime))
		refuses := ""
		if r.Known && !r.Allowed && r.Status < 400 {
			refuses = r.Why
		}
		c.mu.Lock()
		c.asking--
		c.known[key] = answer{refuses, now}
		c.mu.Unlock()
		if refuses != "" {
			report(refuses)
		}
	})
	return why
}

// look returns what is known of a page, and whether it is to be asked now.
func (c *Checker) look(key string, now time.Time) (why string, unknown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, have := c.known[key]
	if age := now.Sub(a.at); have && age >= 0 && age < valid || c.asking >= maxAsking {
		return a.why, false
	}
	if !have && len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[key] = answer{a.why, now} // until there is another one
	c.asking++
	return a.why, true
}
