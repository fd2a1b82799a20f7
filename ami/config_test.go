package ami

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/ami/amitest"
)

func TestConfigCheck(t *testing.T) {
	good := DefaultConfig()
	good.Username, good.Secret = "ringhook", "s3cret"
	f := func(key string, change func(*Config)) {
		t.Helper()
		c := good
		change(&c)
		var got []string
		c.Check(func(key, _ string) { got = append(got, key) })
		if strings.Join(got, " ") != key {
			t.Errorf("%+v: mistakes at %q, want %q", c, got, key)
		}
	}
	f("", func(*Config) {})
	f("", func(c *Config) { c.TLS, c.CAFile, c.ServerName = true, "ca.pem", "pbx.example" })
	f("name", func(c *Config) { c.Name = "" })
	f("name", func(c *Config) { c.Name = "pbx 1" })
	f("address", func(c *Config) { c.Address = "127.0.0.1" })
	f("address", func(c *Config) { c.Address = ":5038" })
	f("username", func(c *Config) { c.Username = "" })
	f("username", func(c *Config) { c.Username = "x,secret)" })
	f("secret", func(c *Config) { c.Secret = "" })
	f("secret", func(c *Config) { c.Secret = "a\nb" })
	f("secret", func(c *Config) { c.Secret = strings.Repeat("x", 1100) })
	f("ca_file server_name", func(c *Config) { c.CAFile, c.ServerName = "ca.pem", "pbx.example" })
}

func TestDoubt(t *testing.T) {
	for address, doubtful := range map[string]bool{"127.0.0.1:5038": false, "[::1]:5038": false, "localhost:5038": false, "192.0.2.1:5038": true, "pbx.example:5038": true} {
		c := Config{Address: address}
		if key, _ := c.Doubt(); (key == "tls") != doubtful {
			t.Errorf("%s: doubt %q", address, key)
		}
		c.TLS = true
		if key, _ := c.Doubt(); key != "" {
			t.Errorf("%s with TLS: doubt %q", address, key)
		}
	}
}

// TLS is checked by name and CA.
func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	s := amitest.New()
	s.Answer("ListCommands", amitest.Text("Response: Success", "ActionID: {id}"))
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: all"))
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.Serve(conn)
		}
	}()
	f := func(ca, name, want string) {
		t.Helper()
		c := Config{Name: "pbx", Address: l.Addr().String(), Username: amitest.Username, Secret: amitest.Secret, TLS: true, CAFile: ca, ServerName: name}
		_, err := Inspect(t.Context(), c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("ca_file %q, server_name %q: got %v, want %q", ca, name, err, want)
		}
	}
	f(ca, "", "")
	f(ca, "example.com", "")
	f(ca, "another.example", "another.example")
	f("", "", "certificate")
	f(filepath.Join(t.TempDir(), "none"), "", "read CA certificates")
	l.Close()
	<-served
	s.Close()
}
