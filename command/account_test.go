package command

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/app"
)

// TestAccountCommands checks adding, showing and refreshing an account without a server, and that hook test and lookup
// use it.
func TestAccountCommands(t *testing.T) {
	issued := 0
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && (r.PostFormValue("code") == "code-1" || r.PostFormValue("refresh_token") == fmt.Sprintf("hush-refresh-%d", issued)):
			issued++
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":"hush-access-%d","refresh_token":"hush-refresh-%d","expires_in":3600}`, issued, issued)
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant"}`)
		case r.Header.Get("Authorization") != fmt.Sprintf("Zoho-oauthtoken hush-access-%d", issued):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			fmt.Fprint(w, "CALLERID(name)=Anna")
		}
	}))
	t.Cleanup(crm.Close)
	folder := t.TempDir()
	file := filepath.Join(folder, "ringhook.toml")
	text := fmt.Sprintf(`
[store]
folder = "data"
[number]
country = "DE"
[[account]]
name = "zoho"
scheme = "Zoho-oauthtoken"
oauth2 = { token_url = "%[1]s/token", grant = "refresh_token", client_id = "app", client_secret = "hush-secret" }
[[lookup]]
name = "crm"
points = ["queue-dial"]
url = "%[1]s/who?phone=%%callerid%%"
account = "zoho"
[[hook]]
name = "journal"
events = ["call-hangup"]
url = "%[1]s/journal"
account = "zoho"
`, crm.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(exit int, want string, args ...string) {
		t.Helper()
		var out strings.Builder
		if got := Run(t.Context(), app.Build{}, append(args, "-c", file), &out, &out); got != exit || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "hush") {
			t.Errorf("%v: exit %d, want %d with %q:\n%s", args, got, exit, want, out.String())
		}
	}
	f(0, "none", "account", "show")
	if _, err := os.Stat(filepath.Join(folder, "data")); err == nil {
		t.Error("account show has made a store")
	}
	f(2, `no [[account]] "other"`, "account", "show", "other")
	f(1, "no refresh token", "account", "refresh", "zoho")
	f(1, "invalid_grant", "account", "add", "zoho", "--code", "code-2")
	f(0, "has a new token", "account", "add", "zoho", "--code", "code-1")
	f(0, `"token": "valid"`, "account", "show", "--json")
	f(0, "delivered", "hook", "test", "journal")
	f(0, "Anna", "lookup", "+4930123456")
	f(0, "has a new token", "account", "refresh", "zoho")
	f(0, "refresh_token  valid", "account")
	f(2, "remove the table", "account", "remove", "zoho")
	text = strings.NewReplacer(`account = "zoho"`, "", `name = "zoho"`, `name = "crm"`).Replace(text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f(0, "zoho  not configured  valid", "account", "show")
	f(0, `"grant": "not configured"`, "account", "show", "zoho", "--json")
	f(2, "nothing is stored", "account", "remove", "../zoho")
	f(0, "are removed", "account", "remove", "zoho")
	f(2, "nothing is stored", "account", "remove", "zoho")
	f(2, `no [[account]] "zoho"`, "account", "show", "zoho")
	if issued != 2 {
		t.Errorf("%d tokens issued", issued)
	}
}
