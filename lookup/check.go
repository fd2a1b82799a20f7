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

var settingName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// namePattern allows names that can be a metric's label.
var namePattern = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// Check reports every value that cannot work. It does not know which points exist.
func (c *Config) Check(report func(key, problem string)) {
	if !namePattern.MatchString(c.Name) {
		report("name", "must be 1 to 32 small letters, digits, - and _, such as crm")
	}
	if len(c.Points) == 0 {
		report("points", `is missing: without it the lookup is never asked; set for example points = ["queue-dial"]`)
	}
	if kind, known := sourceTypes[c.Type]; known {
		kind.check(c, report)
	} else {
		report("type", "is unknown: use one of "+strings.Join(typeNames(), ", "))
	}
	if c.MinLength < 0 || c.MinLength > 15 {
		report("min_length", "must be 0 to 15 digits")
	}
	if c.Rank < 0 || c.Rank > 1000 {
		report("rank", "must be 0 to 1000; the lowest is asked first")
	}
	if c.Shadow && (c.Fill || c.Rank != 0) {
		report("shadow", "is true, so the lookup's answers are not used: leave out rank and fill")
	}
	if c.Concurrency < 1 || c.Concurrency > 1000 {
		report("concurrency", "must be 1 to 1000, such as 64")
	}
	if c.Renew != "" && c.Renew != renewBehind {
		report("renew", "must be behind or empty")
	} else if c.Renew == renewBehind && c.Stale <= c.Cache {
		report("renew", "needs stale to be longer than cache: until then nothing is stale")
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		report("timeout", fmt.Sprintf("must be more than 0 and at most %v, such as 800ms", maxTimeout))
	}
	c.checkAge("cache", c.Cache, report)
	c.checkAge("cache_missing", c.CacheMissing, report)
	c.checkAge("stale", c.Stale, report)
}

func (c *Config) checkFormat(report func(key, problem string)) {
	_, err := answer.NewReader(c.answer())
	for _, wrong := range answer.KeyErrors(err) {
		report(wrong.Key, wrong.Err.Error())
	}
	if !c.mapped() {
		if len(c.Map) > 0 {
			report("map", "is for the formats json and xml: leave it out, or change format")
		}
		if c.Records != "" {
			report("records", "is for the formats json and xml: leave it out, or change format")
		}
	}
	if _, err := answer.Charset(c.Charset); err != nil {
		report("charset", "is unknown: use a name such as utf-8, windows-1251, windows-1255, iso-8859-8 or koi8-r")
	}
	if !answer.IsVarName(c.Identity) {
		report("identity", "is no name of a variable: use a name such as CALLERID(name) or customer_id")
	}
	if !slices.Contains([]string{ambiguousNone, ambiguousFirst, ambiguousJoin}, c.Ambiguous) {
		report("ambiguous", "must be none, first or join")
	}
}

func (c *Config) checkAge(key string, d time.Duration, report func(key, problem string)) {
	if d < 0 || d > maxAge {
		report(key, "must be 0, which turns it off, or a time up to ten years, such as 10m")
	}
}

func (c *Config) checkRequest(report func(key, problem string)) {
	if c.URL == "" {
		report("url", "is missing: set for example https://crm.example/who?phone=%callerid%")
	} else if _, err := newRequestTemplate(c); err != nil {
		var wrong *answer.KeyError
		if errors.As(err, &wrong) {
			report(wrong.Key, wrong.Err.Error())
		}
	}
	if _, err := newSecond(c); err != nil {
		var wrong *answer.KeyError
		if errors.As(err, &wrong) {
			report(wrong.Key, wrong.Err.Error())
		}
	}
	for name, value := range c.Settings {
		if !settingName.MatchString(name) {
			report("settings", fmt.Sprintf("%q is not a name: small letters, digits and underscores", name))
		}
		if value == httpclient.Required {
			report("settings."+name, "is missing: the preset "+c.Preset+" needs it")
		}
	}
	for name, value := range c.Headers {
		if err := httpclient.CheckHeader(name, value, "content-type"); err != nil {
			report("headers."+name, err.Error())
		}
	}
	if c.Method != "" && c.Method != "GET" && c.Method != "POST" {
		report("method", "must be GET or POST")
	}
	if c.Method == "GET" && c.Body != "" {
		report("method", "is GET, which has no body: leave out body, or set POST")
	}
	if _, ok := bodyTypes[c.BodyType]; !ok && c.Body == "" {
		report("body_type", "must be form, json, xml or text")
	}
	if len(c.Spellings) == 0 {
		report("spellings", `is empty: set at least one, such as ["e164"]`)
	}
	for _, s := range c.Spellings {
		if !number.IsSpelling(s) {
			report("spellings", "has an unknown spelling: use e164, plus-less, national, digits, 00, last:4 to last:15, international-formatted, national-formatted and sql-like")
		}
	}
	c.Credentials.Check(c.Headers, report)
}
