package conf

import "testing"

func TestSecretKey(t *testing.T) {
	for key, want := range map[string]bool{
		"hook.headers.Authorization":          true,
		"hook.headers.X-Api-Key":              true,
		"hook.headers":                        true,
		"hook.headers.Accept":                 false,
		"hook.settings.crm_token":             true,
		"hook.params.src":                     false,
		"hook.on.agent-answer.params.api_key": true,
		"hook.secret":                         true,
		"hook.key_file":                       false,
		"hook.words.status.authorized":        false,
		"dialplan.variables.token":            false,
		"lookup.auth.bearer":                  true,
		"lookup.auth.user":                    false,
		"lookup.auth.token_url":               false,
		"lookup.tls.key":                      false,
		"lookup.url":                          false,
		"lookup.map.customer_key":             false,
	} {
		if got := secretKey(key); got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
}

func TestInURL(t *testing.T) {
	for url, want := range map[string]string{
		"https://user:0123@crm.example/":           "0123",
		"https://:0123@crm.example:8443/":          "0123",
		"https://crm.example:8443/a@b":             "",
		"https://crm.example/?a=1&Api_Key=0123&b=": "0123",
		"https://crm.example/?token=%token%":       "",
		"https://crm.example/who?phone=%callerid%": "",
	} {
		got := ""
		if m := inURL.FindStringSubmatch(url); m != nil {
			got = m[1] + m[2]
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

func TestRightDuration(t *testing.T) {
	for wrong, want := range map[string]string{
		"10 minutes":   `write "10m"`,
		"90 Sec.":      `write "90s"`,
		" 5 ":          `write "5s"`,
		"800 ms":       `write "800ms"`,
		"2 hours":      `write "2h"`,
		"7d":           `write "168h"`,
		"1 week":       `write "168h"`,
		"5 fortnights": `write a number and a unit, such as "800ms", "5s", "10m" or "24h"`,
		"99999999d":    `write a number and a unit, such as "800ms", "5s", "10m" or "24h"`,
	} {
		if got := rightDuration(wrong); got != want {
			t.Errorf("%q: got %s, want %s", wrong, got, want)
		}
	}
}
