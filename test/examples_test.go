package test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"

	"ringhook/conf"
)

// example writes a configuration of contrib/examples with the CRM of the test.
func example(t *testing.T, name string, crm http.Handler) (file string) {
	t.Helper()
	folder := t.TempDir()
	data, err := os.ReadFile(filepath.Join("../contrib/examples", name))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(crm)
	t.Cleanup(server.Close)
	for _, used := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllSubmatch(data, -1) {
		t.Setenv(string(used[1]), "s3cret")
	}
	if _, err := conf.Parse(name, data, os.LookupEnv); err != nil { // unchanged
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte(`"https://crm.example/`), []byte(`"`+server.URL+`/`))
	data = fmt.Appendf(data, "\n[store]\nfolder = %q\n", filepath.Join(folder, "data"))
	file = filepath.Join(folder, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// shown looks up a number and returns the output.
func shown(t *testing.T, file, number string) string {
	t.Helper()
	text := ringhook(t, "lookup", number, "--point", "queue-dial", "--queue", "500", "-c", file)
	if strings.Contains(text, "s3cret") {
		t.Errorf("a secret is printed:\n%s", text)
	}
	return text
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

func TestExampleOAuth2(t *testing.T) {
	crm := http.NewServeMux()
	crm.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "ringhook" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "contacts.read" {
			t.Errorf("token asked for by %s with %v", id, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}`)
	})
	crm.HandleFunc("GET /api/contacts", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("phone") != "+4930123456" {
			fmt.Fprint(w, `{"contacts": []}`)
			return
		}
		fmt.Fprint(w, `{"contacts": [{"id": 4711, "name": "Zoë Müller", "company": "Example GmbH", "vip": true}]}`)
	})
	file := example(t, "json-oauth2.toml", crm)
	text := shown(t, file, "030 123456")
	wants(t, text, "CALLERID(name) = Zoë Müller, Example GmbH\n", "QUEUE_PRIO = 10\n", "/contacts/4711\n",
		"customer_id = 4711\n", "RINGHOOK_STATUS = FOUND\n")
	if strings.Contains(text, "t0ken") || strings.Contains(text, "refused") {
		t.Errorf("got\n%s", text)
	}
	wants(t, shown(t, file, "030 654321"), "RINGHOOK_STATUS = NOTFOUND\n")
}

func TestExampleXML(t *testing.T) {
	var tried []string
	file := example(t, "xml-windows-1251.toml", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.Method != http.MethodPost || password != "s3cret" || r.FormValue("queue") != "500" {
			t.Errorf("asked by %s with %v", r.Method, r.Form)
		}
		tried = append(tried, r.FormValue("phone"))
		body := `<?xml version="1.0" encoding="windows-1251"?><answer>`
		if r.FormValue("phone") == "4951234567" {
			body += `<client id="4711" prio="10"><name>Иванова Анна</name><note>договор 17</note></client>`
		}
		encoded, err := charmap.Windows1251.NewEncoder().String(body + "</answer>")
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, encoded)
	}))
	wants(t, shown(t, file, "84951234567"), "CALLERID(name) = Иванова Анна\n", "QUEUE_PRIO = 10\n", "call_info = договор 17, клиент 4711\n",
		"match = suffix\n", "RINGHOOK_STATUS = FOUND\n")
	if got := strings.Join(tried, " "); got != "84951234567 4951234567" {
		t.Errorf("tried %s", got)
	}
	wants(t, shown(t, file, "84957654321"), "RINGHOOK_STATUS = NOTFOUND\n")
}
