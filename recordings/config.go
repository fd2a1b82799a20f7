package recordings

import (
	"fmt"
	"slices"
	"time"

	"ringhook/httpclient"
	"ringhook/store/size"
)

// Config is the [recordings] table.
type Config struct {
	// URL makes recording_url of events from recording_file: the placeholders are file (the path below Folder, or the
	// whole path without a folder), name (the last part of it) and linkedid (that of the call).
	URL string `toml:"url"`
	// Folder has the recordings. Without URL, ringhook serves them itself under signed links.
	Folder string `toml:"folder"`
	// Life is the time for which a signed link works.
	Life time.Duration `toml:"life"`
	// Settle is the time for which a file has not changed when it counts as complete.
	Settle time.Duration `toml:"settle"`
	// MaxUpload is the maximum size of a recording that a hook sends, in bytes.
	MaxUpload size.Size `toml:"max_upload"`
	// Environment holds the values that the table took from environment variables.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Config) SetEnvironment(values []string) { c.Environment = values }

// Secrets returns what of the links is not shown: what came from the environment, and what is secret in URL or looks like a
// key.
func (c *Config) Secrets() []string {
	if c.URL == "" {
		return nil
	}
	return slices.Concat(c.Environment, httpclient.URLSecrets(c.URL))
}

// DefaultConfig returns the settings without a [recordings] table.
func DefaultConfig() Config {
	return Config{Life: 30 * 24 * time.Hour, Settle: 10 * time.Second, MaxUpload: 50 << 20}
}

// Serves reports whether ringhook serves the recordings itself.
func (c *Config) Serves() bool { return c.Folder != "" && c.URL == "" }

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if c.URL != "" {
		t, err := httpclient.ParseTemplate(c.URL, httpclient.PlaceURL)
		if err != nil {
			report("url", err.Error())
		} else {
			for _, name := range t.Names() {
				if name != "file" && name != "name" && name != "linkedid" {
					report("url", fmt.Sprintf("%%%s%% is not known here; use %%file%%, %%name%% or %%linkedid%%", name))
				}
			}
		}
	}
	if c.Life < time.Minute || c.Life > 10*365*24*time.Hour {
		report("life", "must be 1m to 87600h")
	}
	if c.MaxUpload < 1<<10 || c.MaxUpload > 1<<30 {
		report("max_upload", "must be 1KiB to 1GiB")
	}
	if c.Settle < time.Second || c.Settle > time.Hour {
		report("settle", "must be 1s to 1h")
	}
}
