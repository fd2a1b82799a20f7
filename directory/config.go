package directory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// Config is one [[agents]] table: a list of users of another product, from which the ids of agents are taken.
type Config struct {
	// Name is the product, which the placeholder agent_id_NAME names.
	Name string `toml:"name"`
	// URL is the list. The placeholder next is what Next found in the page before, and empty for the first page.
	URL     string            `toml:"url"`
	Headers map[string]string `toml:"headers"`
	// Account is the name of the [[account]] whose token requests carry.
	Account string `toml:"account"`
	// CAFile is a PEM file with the trusted CA certificates; empty trusts the system's.
	CAFile string `toml:"ca_file"`
	// Records is an expression of jq that returns every user of a page.
	Records string `toml:"records"`
	// Map has the expressions of a user's id, and of phone, info, name or agent (the id of the [[agent]]), by which the
	// user is found.
	Map map[string]string `toml:"map"`
	// Next is an expression of jq over a page that returns what the next page needs: the value of the placeholder, or
	// the whole URL. Empty and false end the list.
	Next string `toml:"next"`
	// Every is the time between two fetches.
	Every time.Duration `toml:"every"`
	// Timeout is the maximum time of one request.
	Timeout time.Duration `toml:"timeout"`
	// Environment holds the values that came from environment variables.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Config) SetEnvironment(values []string) { c.Environment = values }

// credentials returns how requests say who sends them, in the form of the HTTP client.
func (c *Config) credentials() *httpclient.Credentials {
	return &httpclient.Credentials{Account: c.Account, CAFile: c.CAFile, Environment: c.Environment}
}

// DefaultConfig returns the settings of an empty table.
func DefaultConfig() Config { return Config{Every: time.Hour, Timeout: 10 * time.Second} }

// Fields are the keys of Map by which users are found, in the order in which they are compared.
var fields = []string{"agent", "phone", "info", "name"}

var namePattern = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// CheckProduct returns what is wrong with the name of a product, empty if nothing is.
func CheckProduct(name string) string {
	if namePattern.MatchString(name) {
		return ""
	}
	return fmt.Sprintf("%q is not a name: 1 to 32 small letters, digits and underscores, as the placeholder agent_id_NAME needs", name)
}

// Parameter returns the name of the parameter with the id of an agent in a product.
func Parameter(product string) string { return "agent_id_" + product }

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if problem := CheckProduct(c.Name); problem != "" {
		report("name", problem)
	}
	if t, err := httpclient.ParseTemplate(c.URL, httpclient.PlaceURL); err != nil {
		report("url", err.Error())
	} else if slices.ContainsFunc(t.Names(), func(name string) bool { return name != "next" }) {
		report("url", "has a placeholder other than %next%: the list is not of one call")
	}
	for name, value := range c.Headers {
		if err := httpclient.CheckHeader(name, value, "content-type"); err != nil {
			report("headers."+name, err.Error())
		}
	}
	if c.Records == "" {
		report("records", `is missing: it returns every user of an answer, such as ".result[]"`)
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(c.Map)) {
		switch {
		case name == "id":
		case slices.Contains(fields, name):
			found++
		default:
			report("map", fmt.Sprintf("%q is not known; use id and one or more of %s", name, strings.Join(fields, ", ")))
		}
	}
	if c.Map["id"] == "" || found == 0 {
		report("map", `needs id, and phone, info, name or agent, by which a user is found`)
	}
	for key, expressions := range map[string]map[string]string{"map": c.Map, "next": {"next": c.Next}} {
		if key == "next" && c.Next == "" {
			continue
		}
		_, err := answer.NewReader(answer.Config{Format: "json", Map: expressions, Records: c.Records})
		for _, wrong := range answer.KeyErrors(err) {
			report(strings.TrimPrefix(wrong.Key, "map.next"), wrong.Err.Error())
		}
	}
	if c.Every < time.Minute || c.Every > 7*24*time.Hour {
		report("every", "must be 1m to 168h")
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		report("timeout", "must be 100ms to 60s")
	}
	c.credentials().Check(c.Headers, report)
}
