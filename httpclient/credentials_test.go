package httpclient

import (
	"slices"
	"strings"
	"testing"
)

func TestCredentialsCheck(t *testing.T) {
	oauth := OAuth2{TokenURL: "https://crm.example/token", ClientID: "a", ClientSecret: "s3cret"}
	header := map[string]string{"authorization": "Bearer s3cret"}
	f := func(c Credentials, headers map[string]string, keys ...string) {
		t.Helper()
		var got []string
		c.Check(headers, func(key, problem string) {
			got = append(got, key)
			if strings.Contains(problem, "s3cret") {
				t.Errorf("%s: problem shows the secret: %s", key, problem)
			}
		})
		if !slices.Equal(got, keys) {
			t.Errorf("Check(%+v, %v) reports %q, want %q", c, headers, got, keys)
		}
	}
	f(Credentials{}, nil)
	f(Credentials{}, header)
	f(Credentials{Username: "a", Password: "s3cret"}, nil)
	f(Credentials{Username: "a"}, header, "headers.authorization")
	f(Credentials{Password: "s3cret"}, nil, "username")
	f(Credentials{Username: "a:b"}, nil, "username")
	f(Credentials{OAuth2: oauth}, nil)
	f(Credentials{OAuth2: oauth}, header, "headers.authorization")
	f(Credentials{OAuth2: oauth, Username: "a"}, nil, "oauth2")
	f(Credentials{OAuth2: OAuth2{TokenURL: oauth.TokenURL}}, nil, "oauth2.client_id", "oauth2.client_secret")
	f(Credentials{CAFile: "testdata/none.pem"}, nil, "ca_file")
	f(Credentials{CAFile: "credentials.go", CertFile: "credentials.go"}, nil, "ca_file")
	f(Credentials{CertFile: "credentials.go"}, nil, "cert_file")
	f(Credentials{KeyFile: "credentials.go"}, nil, "cert_file")
}

func TestBasic(t *testing.T) {
	for want, c := range map[string]Credentials{
		"":                       {},
		"Basic bWU6czNjcmV0":     {Username: "me", Password: "s3cret"},
		"Basic bWU6":             {Username: "me"},
		"Basic 0LDQvdC90LA6YTpi": {Username: "анна", Password: "a:b"},
	} {
		if got := c.Basic(); got != want {
			t.Errorf("Basic() of %+v = %q, want %q", c, got, want)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		ok          bool
	}{
		{"X-Caller", "%callerid%", true},
		{"Authorization", "Bearer s3cret", true},
		{"x_odd.name~", "", true},
		{"", "a", false},
		{"X Y", "a", false},
		{"X:", "a", false},
		{"Ünicode", "a", false},
		{"host", "other.example", false},
		{"TRANSFER-ENCODING", "chunked", false},
		{"Expect", "100-continue", false},
		{"Webhook-Id", "a", false},
		{"X", "s3cret\r\nY: z", false},
		{"X", "a\x00", false},
	} {
		err := CheckHeader(tc.name, tc.value, "webhook-id")
		if (err == nil) != tc.ok {
			t.Errorf("CheckHeader(%q, %q) = %v, want ok %t", tc.name, tc.value, err, tc.ok)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("CheckHeader(%q) shows the value: %v", tc.name, err)
		}
	}
}

// TestApart checks which URLs get the credentials of a table.
func TestApart(t *testing.T) {
	const own = "https://u:p@crm.example/rest/%callerid%"
	for further, want := range map[string]bool{
		"https://crm.example/other": false, "HTTPS://CRM.example:443?x=a@b": false, "https://crm.example": false,
		"http://crm.example/": true, "https://crm.example:8443/": true, "https://crm.example.evil.example/": true,
		"https://x@crm.example/": true, "https://evil.example/@crm.example/": true, `https://evil.example\@crm.example/`: true,
	} {
		if got := Apart(own, further); got != want {
			t.Errorf("%s: %t", further, got)
		}
	}
}
