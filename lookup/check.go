package lookup

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

const (
	maxTimeout = time.Minute
	maxAge     = 10 * 365 * 24 * time.Hour
)

// namePattern keeps a lookup's name fit for a metric's label.
var namePattern = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// Check reports every value that cannot work. Which points there are is for
// others to know.
func (c *Config) Check(report func(key, problem string)) {
	if !namePattern.MatchString(c.Name) {
		report("name", "is missing or unfit: 1 to 32 small letters, digits, - and _ are expected, such as crm")
	}
	if len(c.Points) == 0 {
		report("points", `is missing: without one the lookup is never asked; write for example points = ["queue-dial"]`)
	}
	if kind, known := sourceTypes[c.Type]; known {
		kind.check(c, report)
	} else {
		report("type", "is unknown: use one of "+strings.Join(typeNames(), ", "))
	}
	if c.MinLength < 0 || c.MinLength > 15 {
		report("min_length", "is out of range: 0 to 15 digits are expected")
	}
	if c.Rank < 0 || c.Rank > 1000 {
		report("rank", "is out of range: 0 to 1000 is expected; the lowest is asked first")
	}
	if c.Shadow && (c.Fill || c.Rank != 0) {
		report("shadow", "is true, so that the lookup's answers are not used: rank and fill have no meaning, leave them out")
	}
	if c.Concurrency < 1 || c.Concurrency > 1000 {
		report("concurrency", "is out of range: 1 to 1000 is expected, such as 64")
	}
	if c.Renew != "" && c.Renew != renewBehind {
		report("renew", "is unknown: behind is expected, or nothing")
	} else if c.Renew == renewBehind && c.Stale <= c.Cache {
		report("renew", "needs a stale that is longer than cache: until then there is nothing to renew")
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		report("timeout", fmt.Sprintf("is out of range: more than 0 and at most %v is expected, such as 800ms", maxTimeout))
	}
	c.checkAge("cache", c.Cache, report)
	c.checkAge("cache_missing", c.CacheMissing, report)
	c.checkAge("stale", c.Stale, report)
}

func (c *Config) checkFormat(report func(key, problem string)) {
	if _, err := answer.NewReader(c.answer()); err != nil {
		var wrong *answer.KeyError
		if errors.As(err, &wrong) {
			report(wrong.Key, wrong.Err.Error())
		}
	}
	if c.Format != "json" && c.Format != "xml" {
		if len(c.Map) > 0 {
			report("map", "is for the formats json and xml: leave it out, or change format")
		}
		if c.Records != "" {
			report("records", "is for the formats json and xml: leave it out, or change format")
		}
	}
	if _, err := answer.Charset(c.Charset); err != nil {
		report("charset", "is unknown: a name such as utf-8, windows-1251, windows-1255, iso-8859-8 or koi8-r is expected")
	}
	if !answer.IsVarName(c.Identity) {
		report("identity", "is no name of a variable: CALLERID(name) or customer_id are such")
	}
	if !slices.Contains([]string{ambiguousNone, ambiguousFirst, ambiguousJoin}, c.Ambiguous) {
		report("ambiguous", "is unknown: none, first or join is expected")
	}
}

func (c *Config) checkAge(key string, d time.Duration, report func(key, problem string)) {
	if d < 0 || d > maxAge {
		report(key, "is out of range: 0, which turns it off, or a time up to ten years is expected, such as 10m")
	}
}

func (c *Config) checkRequest(report func(key, problem string)) {
	if c.URL == "" {
		report("url", "is missing: write for example https://crm.example/who?phone=%callerid%")
	} else if _, err := newRequestTemplate(c); err != nil {
		var wrong *answer.KeyError
		if errors.As(err, &wrong) {
			report(wrong.Key, wrong.Err.Error())
		}
	}
	for name, value := range c.Headers {
		if err := httpclient.CheckHeader(name, value, "content-type"); err != nil {
			report("headers."+name, err.Error())
		}
	}
	if c.Method != "" && c.Method != "GET" && c.Method != "POST" {
		report("method", "is unknown: GET or POST is expected")
	}
	if c.Method == "GET" && c.Body != "" {
		report("method", "is GET, which has no body: leave body out, or write POST")
	}
	if _, ok := bodyTypes[c.BodyType]; !ok && c.Body == "" {
		report("body_type", "is unknown: form, json, xml or text is expected")
	}
	if len(c.Spellings) == 0 {
		report("spellings", `is empty: at least one is expected, such as ["e164"]`)
	}
	for _, s := range c.Spellings {
		if !number.IsSpelling(s) {
			report("spellings", "has one that is unknown: e164, plus-less, national, digits, 00, and last:4 to last:15 are known")
		}
	}
	c.Credentials.Check(c.Headers, report)
}
