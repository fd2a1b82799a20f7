package lookup

import (
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// Config is one [[lookup]] table.
type Config struct {
	// Name is the lookup's own, in metrics and logs.
	Name string `toml:"name"`
	// Type is what is asked: http, or phonebook, which is ringhook's own.
	Type string `toml:"type"`
	// Points are those that ask it.
	Points []string `toml:"points"`
	// URL is asked, with the call's parameters for its placeholders.
	URL string `toml:"url"`
	// Method is GET or POST. Where it is empty it is GET, or POST with a body.
	Method string `toml:"method"`
	// Body is sent, with placeholders too; BodyType says what it is, and so how
	// they are escaped: form, json, xml or text.
	Body     string `toml:"body"`
	BodyType string `toml:"body_type"`
	httpclient.Credentials
	// Spellings are those that %callerid% is tried in, one after the other until
	// somebody is found: e164, plus-less, national, digits, 00 or last:9. All of
	// them at once, with commas between, are %callerid_all%.
	Spellings []string `toml:"spellings"`
	// Headers go with the request; their values may have placeholders.
	Headers map[string]string `toml:"headers"`
	// Format is how the answer is written: pairs, pairs-raw, json, xml or text.
	Format string `toml:"format"`
	// Charset is the answer's where neither its Content-Type nor its XML
	// declaration tells, or where they lie.
	Charset string `toml:"charset"`
	// Map says where each variable stands in an answer of format json, by an
	// expression of jq, or xml, by an XPath.
	Map map[string]string `toml:"map"`
	// Records is an expression that gives every customer of such an answer;
	// those of Map then begin there.
	Records string `toml:"records"`
	// Entities means that values contain HTML entities, such as &amp;, which are
	// replaced by their characters.
	Entities bool `toml:"entities"`
	// Variable is the one that an answer of format text is the value of.
	Variable string `toml:"variable"`
	// Identity is the variable that tells one customer from another, and Nobody
	// holds its values that mean none.
	Identity string   `toml:"identity"`
	Nobody   []string `toml:"nobody"`
	// Ambiguous is what to make of several customers with one number: none of
	// them, the first, or their values joined.
	Ambiguous string `toml:"ambiguous"`
	// MinLength is how many digits a number has at least: one with fewer is an
	// extension or a service, which the source is not asked about.
	MinLength int `toml:"min_length"`
	// Rank is the turn in which a point's lookups are asked: those of one rank
	// at the same time, those of the next only where nobody was found. Of one
	// rank the first in the file that knows wins.
	Rank int `toml:"rank"`
	// Fill has the lookup asked also where another one won, to add variables
	// that the winner left empty.
	Fill bool `toml:"fill"`
	// Shadow has the lookup asked and compared with what the call was given,
	// and nothing else, at points that have another lookup: so a new source is
	// tried on live calls.
	Shadow bool `toml:"shadow"`
	// Concurrency is how many requests may be under way to the source at once,
	// those among them that no call waits for any more.
	Concurrency int `toml:"concurrency"`
	// Timeout is the longest that a call waits for the source.
	Timeout time.Duration `toml:"timeout"`
	// Cache is how long an answer is given without asking again, CacheMissing
	// the same for the answer that nobody is known, and Stale how old an
	// answer may be that is given because the source fails; 0 is never.
	Cache        time.Duration `toml:"cache"`
	CacheMissing time.Duration `toml:"cache_missing"`
	Stale        time.Duration `toml:"stale"`
	// Renew is empty, or behind: what is stale is then given at once, and the
	// source asked behind the call.
	Renew string `toml:"renew"`
}

const renewBehind = "behind"

// answer is the part of the configuration that says how answers are read.
func (c *Config) answer() answer.Config {
	return answer.Config{Format: c.Format, Charset: c.Charset, Map: c.Map, Records: c.Records, Variable: c.Variable, Entities: c.Entities}
}

// DefaultConfig is what holds where a [[lookup]] table says nothing.
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
