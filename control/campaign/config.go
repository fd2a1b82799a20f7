package campaign

import (
	"fmt"
	"regexp"
	"time"
)

// Config is the [campaign] table.
type Config struct {
	// Context is where numbers are dialled, and where callees who answer go. Empty switches campaigns off.
	Context string `toml:"context"`
	// Most is the maximum number of numbers of one campaign.
	Most int64 `toml:"most"`
	// Parallel is the maximum number of open calls of one campaign.
	Parallel int64 `toml:"parallel"`
	// Timeout is the longest that a callee's phone rings.
	Timeout time.Duration `toml:"timeout"`
	// Hours are those in which numbers are called, in the number's region, such as 09:00-20:00. Empty is all day.
	Hours string `toml:"hours"`
}

// The largest settings.
const (
	mostNumbers  = 5000
	mostParallel = 100
	longestRing  = 35 * time.Second
)

// DefaultConfig returns the settings without a [campaign] table.
func DefaultConfig() Config {
	return Config{Most: 500, Parallel: 5, Timeout: 30 * time.Second, Hours: "09:00-20:00"}
}

var (
	contextPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,79}$`)
	hoursPattern   = regexp.MustCompile(`^(?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)
)

// Check reports every setting that cannot work.
func (c *Config) Check(report func(key, problem string)) {
	if c.Context != "" && !contextPattern.MatchString(c.Context) {
		report("context", fmt.Sprintf("%q is not the name of a context", c.Context))
	}
	if c.Most < 1 || c.Most > mostNumbers {
		report("most", fmt.Sprintf("must be 1 to %d", mostNumbers))
	}
	if c.Parallel < 1 || c.Parallel > mostParallel {
		report("parallel", fmt.Sprintf("must be 1 to %d", mostParallel))
	}
	if c.Timeout < time.Second || c.Timeout > longestRing {
		report("timeout", fmt.Sprintf("must be 1s to %v", longestRing))
	}
	if c.Hours != "" && (!hoursPattern.MatchString(c.Hours) || c.Hours[:5] >= c.Hours[6:]) {
		report("hours", fmt.Sprintf(`%q is not a time of day, a hyphen and a later time, such as "09:00-20:00"`, c.Hours))
	}
}

// within reports whether a time of day, as 15:04, is in the hours.
func (c *Config) within(clock string) bool {
	return c.Hours == "" || clock != "" && clock >= c.Hours[:5] && clock < c.Hours[6:]
}
