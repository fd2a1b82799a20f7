package hooks

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

// Config is one [[hook]] table.
type Config struct {
	// Name is the hook's name in metrics, logs and the outbox: 1 to 32 small
	// letters, digits, underscores and hyphens.
	Name string `toml:"name"`
	// Preset is the name of the preset that the other keys were applied to. The
	// reader of the file applies them; here it is information only.
	Preset string `toml:"preset"`
	// Events are the names of events, or patterns such as
	// "agent-*".
	Events []string `toml:"events"`
	// When is a condition over the event's parameters, such as
	// talk_time < 10 and direction == 'incoming'. A parameter that has no value
	// is 0, false or ''.
	When string `toml:"when"`
	// URL is the address of the receiver, or several; %name% in its path or query
	// takes a parameter.
	URL Addresses `toml:"url"`
	// Path is appended to each URL, as presets have it: then URL is the base
	// address of the receiver. %name% takes a parameter.
	Path string `toml:"path"`
	// Method is GET, POST, PUT or PATCH; empty is GET for the format query
	// and POST for the others.
	Method string `toml:"method"`
	// Format is the payload's format: query, form, json, xml, standard, which is
	// the body of Standard Webhooks, template, which is Body, or multipart, a form
	// with the recording of the call.
	Format string `toml:"format"`
	// Body is the text of the format template; %name% is escaped as
	// ContentType demands.
	Body string `toml:"body"`
	// ContentType is that of Body.
	ContentType string `toml:"content_type"`
	// File is the name of the field that has the recording of the call, in the formats multipart, as a file, and json, in
	// base64.
	File string `toml:"file"`
	// Headers are added to each request; %name% takes a parameter.
	Headers map[string]string `toml:"headers"`
	// Params chooses and renames the parameters that are sent: src = "%callerid%".
	// If it is empty, every parameter with a value is sent under its own name.
	Params map[string]string `toml:"params"`
	// OmitEmpty leaves out the Params that came out empty, and of a template in JSON whatever is empty in it.
	OmitEmpty bool `toml:"omit_empty"`
	// Settings are the administrator's own values, which %name% takes like
	// parameters. If the name of one contains a word for secrets, it is never shown.
	Settings map[string]string `toml:"settings"`
	// Words translates values: by parameter, from the word of the contract to
	// the receiver's word. The word "*" matches every other value.
	Words map[string]map[string]string `toml:"words"`
	// On holds what is different for single events, by their names.
	On map[string]Variant `toml:"on"`
	// Taken is an expression over a 2xx answer, of jq, or XPath if the request is
	// XML: the event is delivered only if it results in anything but nothing and false.
	Taken string `toml:"taken"`
	// Refused are texts in a 2xx answer which mean that the event was not taken.
	Refused []string `toml:"refused"`
	// Known are texts by 4xx or 5xx status: an answer with the status and the text in
	// it means that the receiver has the event already. It counts as delivered.
	Known map[string]string `toml:"known"`
	// Final are the 4xx statuses after which a delivery is dead at once.
	Final []int `toml:"final"`
	// Remember has an expression over a 2xx answer for each value that later
	// requests of the call use as %name%.
	Remember map[string]string `toml:"remember"`
	// Needs are the remembered values without which an event is not sent. Without
	// says what becomes of it if the answers had none: dead, drop, or send.
	Needs   []string `toml:"needs"`
	Without string   `toml:"without"`
	// RememberedBy is the name of another hook, whose remembered values the requests use in place of those of this one.
	// An event that needs one waits for it by Schedule, until GiveUp.
	RememberedBy string `toml:"remembered_by"`
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
	// OldSecret signs in addition to Secret, while receivers change over.
	OldSecret string `toml:"old_secret"`
	httpclient.Credentials
	// Timeout is the limit of one attempt, from resolving the name to the end of
	// the answer; 100ms to 60s.
	Timeout time.Duration `toml:"timeout"`
	// GiveUp is the time after which a failing delivery is dead; 1s to 30 days.
	GiveUp time.Duration `toml:"give_up"`
	// Schedule is the list of delays between attempts: standard, as Standard
	// Webhooks recommends, or fast, for events that are useless an hour later.
	Schedule string `toml:"schedule"`
	// Order is what an event waits for: call for the earlier events of its call,
	// strict for all earlier events, none for nothing.
	Order string `toml:"order"`
	// OrderHold is the maximum time that a failing event holds up later ones; 1s to
	// 30 days.
	OrderHold time.Duration `toml:"order_hold"`
	// Concurrency is the maximum number of attempts in progress, 1 to 64.
	Concurrency int `toml:"concurrency"`
	// Rate is the maximum number of attempts in a time, such as 2/s, 100/m or
	// 1000/h; empty is no limit. Burst is the number that may be made at once
	// after a pause, 1 to 10,000; 0 is 1.
	Rate  string `toml:"rate"`
	Burst int    `toml:"burst"`
}

// Addresses are the URLs of a hook, 1 to 16. Each but the first makes a copy of the
// hook, with deliveries and a name of its own: journal.2, journal.3.
type Addresses []string

// maxAddresses bounds the copies of a hook: each has its own workers.
const maxAddresses = 16

// nameOf returns the name of the copy of a hook for its nth URL, counted from 0.
func nameOf(hook string, n int) string {
	if n == 0 {
		return hook
	}
	return fmt.Sprintf("%s.%d", hook, n+1)
}

// Variant is what is different for one event: a request of its own. Its keys
// override those of the hook, tables name by name.
type Variant struct {
	// URL is the address of this event's request, for a hook with one URL.
	URL string `toml:"url"`
	// Path replaces the hook's.
	Path        string `toml:"path"`
	Method      string `toml:"method"`
	Format      string `toml:"format"`
	ContentType string `toml:"content_type"`
	Body        string `toml:"body"`
	File        string `toml:"file"`
	// When is a condition beside the hook's: both must hold.
	When     string                       `toml:"when"`
	Params   map[string]string            `toml:"params"`
	Words    map[string]map[string]string `toml:"words"`
	Remember map[string]string            `toml:"remember"`
	Needs    []string                     `toml:"needs"`
	Without  string                       `toml:"without"`
}

// DefaultConfig returns the settings of an empty table.
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

//go:embed presets/*.toml
var presets embed.FS

// Preset returns the text of a preset: the body of a [[hook]] table without name
// and url, for one kind of receiver.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// presetHas reports whether a preset has a section for an event. A hook with the
// preset may subscribe to fewer events.
func presetHas(name, event string) bool {
	text, ok := Preset(name)
	return ok && (bytes.Contains(text, []byte("\n[on."+event+".")) || bytes.Contains(text, []byte("\n[on."+event+"]")))
}

// Presets returns the names of the presets, sorted.
func Presets() []string {
	files, err := presets.ReadDir("presets")
	if err != nil {
		panic(err) // the folder is in the program itself
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".toml")
	}
	slices.Sort(names)
	return names
}
