package hooks_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// expired returns a self-signed certificate that expired in 2020.
func expired(t *testing.T) (cert tls.Certificate, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	over := time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)
	shape := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: over.AddDate(-1, 0, 0), NotAfter: over, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, shape, shape, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caFile
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestReceiverCertificateExpired checks a receiver whose certificate has expired: nothing is sent, the
// delivery waits for its next attempt, and the log has the date (F31).
func TestReceiverCertificateExpired(t *testing.T) {
	cert, caFile := expired(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	defer server.Close()

	cfg, outbox, logged := hookTo("crm", server.URL), hooktest.NewOutbox(), &lines{}
	cfg.CAFile = caFile
	id := outbox.Add(event("1.1", 1), "crm")[0]
	reg := prometheus.NewRegistry()
	d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.NewTextHandler(logged, nil)), reg)
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) > 0 })
	if err := d.Close(context.Background()); err != nil {
		t.Error(err)
	}
	row := outbox.Row(id)
	if row.State != hooks.Pending || row.Attempts[0].Class != "tls" || row.Next.IsZero() {
		t.Errorf("got %+v, want a delivery that waits after an attempt of class tls", row)
	}
	for _, text := range []string{row.Attempts[0].Excerpt, logged.String()} {
		if !strings.Contains(text, "expired") || !strings.Contains(text, "2020-03-01") {
			t.Errorf("has no expiry date: %s", text)
		}
	}
	if got, want := gauge(t, reg, "ringhook_hook_certificate_expiry_timestamp_seconds"), float64(time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC).Unix()); got != want {
		t.Errorf("the metric is %v, want %v", got, want)
	}
}

// gauge returns the value of a metric of one hook.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.Metric) == 1 {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s of one hook", name)
	return 0
}

// TestReceiverMeasured checks the metrics of the receiver's clock and of the end of its certificate before
// any failure (F25, F31).
func TestReceiverMeasured(t *testing.T) {
	const ahead = 10 * time.Minute
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
	}))
	defer server.Close()
	cfg, outbox, reg := hookTo("crm", server.URL), hooktest.NewOutbox(), prometheus.NewRegistry()
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	const skew, expiry = "ringhook_hook_clock_skew_seconds", "ringhook_hook_certificate_expiry_timestamp_seconds"
	if a, b := gauge(t, reg, skew), gauge(t, reg, expiry); a != 0 || b != 0 {
		t.Errorf("before the first answer: %v and %v", a, b)
	}
	outbox.Add(event("1.1", 1), "crm")
	d.Start()
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// A Date has no fractions of a second, and is slightly old on arrival.
	if got := gauge(t, reg, skew); got > ahead.Seconds() || got < ahead.Seconds()-60 {
		t.Errorf("the clock is ahead by %v s, want about %v", got, ahead.Seconds())
	}
	if got, want := gauge(t, reg, expiry), float64(server.Certificate().NotAfter.Unix()); got != want {
		t.Errorf("the certificate ends at %v, want %v", got, want)
	}
}
