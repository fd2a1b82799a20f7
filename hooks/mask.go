package hooks

import (
	"net/url"
	"slices"
	"strings"
)

const masked = "***"

// shortest is how long a secret must be to be looked for in texts: a shorter
// one would be found in words that are none.
const shortest = 4

// harmless are the headers that are shown as they are sent.
var harmless = []string{"accept", "accept-language", "content-type", "soapaction", "user-agent", "webhook-id", "webhook-timestamp"}

// secretName tells whether a setting, parameter or header by this name holds
// what nobody else may see.
func secretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "key", "auth", "sign", "cookie", "credential"}, func(part string) bool {
		return strings.Contains(name, part)
	})
}

// newMask makes the replacer that hides a hook's secrets in what is shown of
// it: previews, errors, and answers that repeat the request.
func newMask(c *Config) *strings.Replacer {
	var secrets []string
	for _, set := range []map[string]string{c.Settings, c.Params} {
		for name, value := range set {
			if secretName(name) && !strings.Contains(value, "%") {
				secrets = append(secrets, value)
			}
		}
	}
	for name, value := range c.Headers {
		if secretName(name) {
			secrets = append(append(secrets, value), strings.Fields(value)...)
		}
	}
	secrets = append(secrets, c.Secret, c.OldSecret, c.Password, c.OAuth2.ClientSecret, strings.TrimPrefix(c.Basic(), "Basic "))
	for _, address := range c.URL {
		secrets = append(secrets, urlSecrets(address)...)
	}
	var pairs []string
	for _, s := range secrets {
		if len(s) < shortest || strings.EqualFold(s, "bearer") || strings.EqualFold(s, "basic") {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if !slices.Contains(pairs, form) {
				pairs = append(pairs, form, masked)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// urlSecrets gives what is secret in a URL as it is configured.
func urlSecrets(text string) []string {
	var secrets []string
	head, query, _ := strings.Cut(text, "?")
	if _, rest, ok := strings.Cut(head, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			_, password, _ := strings.Cut(authority[:at], ":")
			secrets = append(secrets, password)
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if secretName(name) && !strings.HasPrefix(value, "%") {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// maskHeader hides a header's value unless it is one that tells nothing.
func (h *hook) maskHeader(name, value string) string {
	if slices.Contains(harmless, strings.ToLower(name)) {
		return h.mask.Replace(value)
	}
	return masked
}
