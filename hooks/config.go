package hooks

import (
	"fmt"
	"time"

	"ringhook/httpclient"
)

// Config is one [[hook]] table.
type Config struct {
	// Name is the hook's name in metrics, logs and the outbox: 1 to 32 small
	// letters, digits, underscores and hyphens.
	Name string `toml:"name"`
	// Preset names the preset that the other keys were laid over; it is done by
	// who reads the file, and here it only tells.
	Preset string `toml:"preset"`
	// Events are the names of the events that are wanted, or patterns such as
	// "agent-*".
	Events []string `toml:"events"`
	// When is a condition over the event's parameters, such as
	// talk_time < 10 and direction == 'incoming'. A parameter that has no value
	// is 0, false or ''.
	When string `toml:"when"`
	// URL is where deliveries go, one URL or several; %name% in its path or query
	// takes a parameter.
	URL Addresses `toml:"url"`
	// Method is GET, POST, PUT or PATCH; empty is GET for the format query
	// and POST for the others.
	Method string `toml:"method"`
	// Format is how the parameters are written: query, form, json, xml,
	// standard, which is the body of Standard Webhooks, or template, which is
	// Body.
	Format string `toml:"format"`
	// Body is the text of the format template; %name% is escaped as
	// ContentType demands.
	Body string `toml:"body"`
	// ContentType is that of Body.
	ContentType string `toml:"content_type"`
	// Headers are added to each request; %name% takes a parameter.
	Headers map[string]string `toml:"headers"`
	// Params chooses and renames what is sent: src = "%callerid%". Where it is
	// empty, every parameter that has a value is sent under its own name.
	Params map[string]string `toml:"params"`
	// OmitEmpty leaves out the Params that came out empty.
	OmitEmpty bool `toml:"omit_empty"`
	// Settings are values of the administrator's own that %name% takes like a
	// parameter's; one whose name speaks of a secret is never shown.
	Settings map[string]string `toml:"settings"`
	// Words translates values: by parameter, from the word of the contract to
	// that of the receiver. The word "*" stands for every other.
	Words map[string]map[string]string `toml:"words"`
	// On says what is different for one event, by its name.
	On map[string]Variant `toml:"on"`
	// TimeFormat is how times are written, as Go writes the reference time
	// (2006-01-02 15:04:05), or unix or unix-ms for seconds or milliseconds
	// since 1970; empty is RFC 3339.
	TimeFormat string `toml:"time_format"`
	// TimeZone is the zone of times, such as Europe/Moscow; empty leaves them as
	// they came.
	TimeZone string `toml:"time_zone"`
	// Secret signs each request as Standard Webhooks say: whsec_ and 24 to 64
	// random bytes in base64, or an ed25519 key with whsk_. Empty signs nothing.
	Secret string `toml:"secret"`
	// OldSecret signs beside Secret, while receivers change over to that.
	OldSecret string `toml:"old_secret"`
	httpclient.Credentials
	// Timeout is for one attempt, from resolving the name to the end of the
	// answer; 100ms to 60s.
	Timeout time.Duration `toml:"timeout"`
	// GiveUp is how long a delivery is tried before it is dead; 1s to 30 days.
	GiveUp time.Duration `toml:"give_up"`
	// Schedule is how the attempts are spread: standard, as Standard Webhooks
	// advises, or fast, for screens that are of no use an hour later.
	Schedule string `toml:"schedule"`
	// Order is what an event waits for: call for those of its call that were
	// accepted before it, strict for all that were, none for nothing.
	Order string `toml:"order"`
	// OrderHold is how long an event that fails holds up those behind it; 1s to
	// 30 days.
	OrderHold time.Duration `toml:"order_hold"`
	// Concurrency is how many attempts may be under way at once, 1 to 64.
	Concurrency int `toml:"concurrency"`
}

// Addresses are the URLs of a hook, 1 to 16. Each but the first makes a copy of the
// hook, with deliveries and a name of its own: journal.2, journal.3.
type Addresses []string

// maxAddresses bounds the copies of a hook: each has its own workers.
const maxAddresses = 16

// nameOf is what the copy of a hook for its nth URL is called, counted from 0.
func nameOf(hook string, n int) string {
	if n == 0 {
		return hook
	}
	return fmt.Sprintf("%s.%d", hook, n+1)
}

// Variant is what one event has of its own: it is laid over the hook's.
type Variant struct {
	Params map[string]string            `toml:"params"`
	Words  map[string]map[string]string `toml:"words"`
}

// DefaultConfig gives the settings of a table that says nothing.
func DefaultConfig() Config {
	return Config{
		Format:      "json",
		Timeout:     5 * time.Second,
		GiveUp:      24 * time.Hour,
		Schedule:    "standard",
		Order:       orderCall,
		OrderHold:   15 * time.Minute,
		Concurrency: 8,
	}
}
