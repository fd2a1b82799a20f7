package lookup

import (
	"maps"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// Config is one [[lookup]] table.
type Config struct {
	// Name is the lookup's name in metrics and logs.
	Name string `toml:"name"`
	// Type is the kind of source: http, or phonebook, which is ringhook's own.
	Type string `toml:"type"`
	// Points are the points that ask it.
	Points []string `toml:"points"`
	// Preset is the name of the preset that the other keys were applied to. The
	// reader of the file applies them; here it is information only.
	Preset string `toml:"preset"`
	// URL is requested, with the call's parameters for its placeholders.
	URL string `toml:"url"`
	// Path is appended to URL, as presets have it: then URL is the base address
	// of the source.
	Path string `toml:"path"`
	// Settings are the administrator's own values, which %name% takes like
	// parameters, and $name in Map and Records of the format json. If there is
	// none of the name site, it is scheme and host of URL.
	Settings map[string]string `toml:"settings"`
	// Method is GET or POST. If it is empty, it is GET, or POST with a body.
	Method string `toml:"method"`
	// Body is sent, with placeholders too. BodyType is its kind, which decides how
	// they are escaped: form, json, xml or text.
	Body     string `toml:"body"`
	BodyType string `toml:"body_type"`
	httpclient.Credentials
	// Spellings are those of %callerid%, which are tried one after the other until
	// a customer is found: e164, plus-less, national, digits, 00 or last:9. All of
	// them at once, with commas between, are %callerid_all%.
	Spellings []string `toml:"spellings"`
	// Headers are sent with the request; their values may contain placeholders.
	Headers map[string]string `toml:"headers"`
	// Format is that of the answer: pairs, pairs-raw, json, xml or text.
	Format string `toml:"format"`
	// Charset is that of the answer if neither its Content-Type nor its XML
	// declaration names one, or if they are wrong.
	Charset string `toml:"charset"`
	// Map has the expression of each variable: of jq for an answer of format json,
	// an XPath for xml.
	Map map[string]string `toml:"map"`
	// Then is a second request, about the one customer whom the first one found.
	Then Then `toml:"then"`
	// Records is an expression that returns every customer of such an answer;
	// those of Map start there.
	Records string `toml:"records"`
	// Entities means that values contain HTML entities, such as &amp;, which are
	// replaced by their characters.
	Entities bool `toml:"entities"`
	// Variable is the one whose value is an answer of format text.
	Variable string `toml:"variable"`
	// Identity is the variable that distinguishes customers. Nobody holds its
	// values that mean no customer.
	Identity string   `toml:"identity"`
	Nobody   []string `toml:"nobody"`
	// Ambiguous is the answer for several customers with one number: none, the
	// first, or join, their values side by side.
	Ambiguous string `toml:"ambiguous"`
	// MinLength is the minimum number of digits of a number: one with fewer is an
	// extension or a service, which the source is not asked about.
	MinLength int `toml:"min_length"`
	// Rank is the order in which a point's lookups are asked: those of one rank
	// at the same time, those of the next only if no customer was found. In one
	// rank the first in the file that knows the caller wins.
	Rank int `toml:"rank"`
	// Fill means that the lookup is asked also if another one won, to add
	// variables that the winner left empty.
	Fill bool `toml:"fill"`
	// Shadow means that the lookup is asked only to compare its answer with the one
	// that the call got, at points that have another lookup: this tries
	// a new source on live calls.
	Shadow bool `toml:"shadow"`
	// Concurrency is the maximum number of requests in flight to the source,
	// including those that no call waits for any more.
	Concurrency int `toml:"concurrency"`
	// Timeout is the maximum time that a call waits for the source.
	Timeout time.Duration `toml:"timeout"`
	// Cache is the time for which an answer is used without asking again,
	// CacheMissing the same for NOTFOUND, and Stale the maximum age of an
	// answer that is used because the source fails; 0 means never.
	Cache        time.Duration `toml:"cache"`
	CacheMissing time.Duration `toml:"cache_missing"`
	Stale        time.Duration `toml:"stale"`
	// Renew is empty, or behind: then the answer is the stale entry at once, and it is
	// refreshed in the background.
	Renew string `toml:"renew"`
}

const renewBehind = "behind"

// answer returns the part of the configuration that is about reading answers.
func (c *Config) answer() answer.Config {
	return answer.Config{Format: c.Format, Charset: c.Charset, Map: c.Map, Records: c.Records, Variable: c.Variable, Entities: c.Entities, Settings: c.settings()}
}

// settings returns the settings with site.
func (c *Config) settings() map[string]string {
	all := make(map[string]string, len(c.Settings)+1)
	if scheme, rest, ok := strings.Cut(c.URL, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, "?")
		all["site"] = scheme + "://" + host[strings.LastIndexByte(host, '@')+1:]
	}
	maps.Copy(all, c.Settings)
	return all
}

// DefaultConfig returns the defaults of a [[lookup]] table.
func DefaultConfig() Config {
	return Config{
		Type:         typeHTTP,
		BodyType:     "form",
		Spellings:    []string{number.SpellE164},
		Format:       "pairs",
		Variable:     "CALLERID(name)",
		Identity:     "CALLERID(name)",
		Ambiguous:    ambiguousNone,
		MinLength:    number.MinE164,
		Concurrency:  64,
		Timeout:      800 * time.Millisecond,
		Cache:        10 * time.Minute,
		CacheMissing: time.Minute,
		Stale:        24 * time.Hour,
	}
}
