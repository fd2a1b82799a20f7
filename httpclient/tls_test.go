package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"ringhook/test/wait"
)

// A server with an authority of its own, which asks for a certificate: the
// test server's own one serves as all three.
func TestLoadTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()

	folder := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile := write("cert.pem", "CERTIFICATE", server.Certificate().Raw)
	keyFile := write("key.pem", "PRIVATE KEY", key)

	f := func(ca, cert, key, want string) {
		t.Helper()
		config, err := loadTLS(ca, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := NewClient(ClientConfig{TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.Do(&Request{URL: server.URL}, in(wait.Limit))
		var failure *Error
		if got := errors.As(err, &failure); got != (want != "") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(certFile, certFile, keyFile, "")
	f(certFile, "", "", "refused")
	f("", certFile, keyFile, ClassTLS)

	if config, err := loadTLS("", "", ""); config != nil || err != nil {
		t.Errorf("nothing set: got %v, %v", config, err)
	}
	for _, files := range [][3]string{
		{filepath.Join(folder, "none.pem"), "", ""}, {keyFile, "", ""}, {"", certFile, ""}, {"", "", keyFile}, {"", keyFile, certFile},
	} {
		if _, err := loadTLS(files[0], files[1], files[2]); err == nil {
			t.Errorf("%q: accepted", files)
		}
	}
}
