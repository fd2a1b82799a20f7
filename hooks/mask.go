package hooks

import (
	"slices"
	"strings"

	"ringhook/httpclient"
)

// harmless are the headers whose values are shown.
var harmless = []string{
	"accept", "accept-language", "content-length", "content-type", "host", "soapaction", "user-agent", "webhook-id", "webhook-timestamp",
}

// newMask makes the mask that hides a hook's secrets in all that is shown or stored of it: requests, errors, and answers
// that repeat the request.
func newMask(c *Config) *httpclient.Mask {
	named := []map[string]string{c.Settings, c.Params}
	for _, variant := range c.On {
		named = append(named, variant.Params)
	}
	return httpclient.MaskOf(&c.Credentials, c.URL, c.Headers, named, c.Secret, c.OldSecret)
}

// maskHeader hides a header's value unless the header is known to hold no secret.
func (h *hook) maskHeader(name, value string) string {
	if slices.Contains(harmless, strings.ToLower(name)) {
		return h.mask.Replace(value)
	}
	return httpclient.Masked
}
