package httpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"ringhook/test/wait"
)

func addrs(s ...string) []netip.Addr {
	var list []netip.Addr
	for _, a := range s {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

// listen opens a port on one loopback address of many.
func listen(t *testing.T, addr string) (net.Listener, uint16) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort().Port()
}

func testDialer(port uint16, resolve func(ctx context.Context) ([]netip.Addr, error)) *dialer {
	return &dialer{host: "crm.example", port: port, resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return resolve(ctx)
	}}
}

// F7: a resolver that fails or hangs does no harm while the addresses it gave
// are younger than a day.
func TestResolverDown(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	hangs := func(ctx context.Context) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	fails := func(context.Context) ([]netip.Addr, error) { return nil, errors.New("server misbehaving") }
	empty := func(context.Context) ([]netip.Addr, error) { return nil, nil }
	for name, down := range map[string]func(context.Context) ([]netip.Addr, error){
		"hangs": hangs, "fails": fails, "is empty": empty, "never answers over UDP": silentResolver(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolve := func(context.Context) ([]netip.Addr, error) { return addrs("127.0.0.1"), nil }
			d := testDialer(port, func(ctx context.Context) ([]netip.Addr, error) { return resolve(ctx) })
			dial := func(limit time.Duration) error {
				conn, err := d.dial(in(limit))
				if err == nil {
					conn.Close()
				}
				return err
			}
			if err := dial(wait.Limit); err != nil {
				t.Fatal(err)
			}
			resolve = down
			d.next = time.Time{}
			if err := dial(10 * time.Second); err != nil { // of which the resolver may take a part
				t.Errorf("with good addresses: %v", err)
			}
			if !d.next.After(time.Now()) {
				t.Error("the resolver is asked again at once")
			}
			d.next, d.good = time.Time{}, time.Now().Add(-resolveKeep-time.Second)
			err := dial(400 * time.Millisecond)
			var e *dialError
			if !errors.As(err, &e) || e.class != ClassDNS && e.class != ClassTimeout {
				t.Errorf("with addresses a day old: %v, want class %s", err, ClassDNS)
			}
		})
	}
}

// silentResolver asks a name server that takes every question and answers none.
func silentResolver(t *testing.T) func(ctx context.Context) ([]netip.Addr, error) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	return func(ctx context.Context) ([]netip.Addr, error) { return resolver.LookupNetIP(ctx, "ip", "crm.example") }
}

func TestResolvedOnce(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	asked := 0
	d := testDialer(port, func(context.Context) ([]netip.Addr, error) {
		asked++
		return addrs("127.0.0.1"), nil
	})
	for range 3 {
		conn, err := d.dial(in(wait.Limit))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if asked != 1 {
		t.Errorf("resolver asked %d times, want 1", asked)
	}
}

// An address that does not answer costs a head start once: the one that
// answered is tried first from then on.
func TestDeadAddress(t *testing.T) {
	_, port := listen(t, "127.0.0.2:0")
	for _, dead := range []string{"127.0.0.1", "::1"} {
		d := testDialer(port, func(context.Context) ([]netip.Addr, error) { return addrs(dead, "127.0.0.2"), nil })
		conn, err := d.dial(in(wait.Limit))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if d.addrs[0] != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("after a connection the order is %v", d.addrs)
		}
		d.next = time.Time{}
		if list, _ := d.addresses(t.Context()); list[0] != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("resolved again, the order is %v", list)
		}
	}
}

func TestNoAddressAnswers(t *testing.T) {
	ln, port := listen(t, "127.0.0.1:0")
	ln.Close()
	d := testDialer(port, func(context.Context) ([]netip.Addr, error) { return addrs("127.0.0.1", "127.0.0.2", "127.0.0.3"), nil })
	_, err := d.dial(in(wait.Limit))
	var e *dialError
	if !errors.As(err, &e) || e.class != ClassConnect {
		t.Errorf("dial: %v, want class %s", err, ClassConnect)
	}
	if time.Until(d.next) > resolveAgain {
		t.Errorf("resolved again in %v, want at most %v", time.Until(d.next), resolveAgain)
	}
}

func TestAlternate(t *testing.T) {
	for _, tc := range []struct{ in, want []netip.Addr }{
		{addrs("::1"), addrs("::1")},
		{addrs("::1", "::2", "10.0.0.1", "10.0.0.2"), addrs("::1", "10.0.0.1", "::2", "10.0.0.2")},
		{addrs("10.0.0.1", "10.0.0.2", "::1"), addrs("10.0.0.1", "::1", "10.0.0.2")},
		{addrs("::ffff:10.0.0.1", "::1"), addrs("10.0.0.1", "::1")},
	} {
		if got := alternate(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("alternate(%v) = %v, want %v", tc.in, got, tc.want)
		}
	}
	many := make([]netip.Addr, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
	}
	if n := len(alternate(many)); n != maxAddrs {
		t.Errorf("of 100 addresses %d are left, want %d", n, maxAddrs)
	}
}

func TestNewDialer(t *testing.T) {
	for _, tc := range []struct {
		host   string
		secure bool
		want   string
	}{
		{"crm.example", false, "crm.example:80"},
		{"crm.example", true, "crm.example:443"},
		{"crm.example:8443", true, "crm.example:8443"},
		{"[::1]", false, "[::1]:80"},
		{"[::1]:8080", false, "[::1]:8080"},
		{"crm.example:0", false, ""},
		{"crm.example:65536", false, ""},
		{"crm.example:http", false, ""},
	} {
		d, err := newDialer(tc.host, tc.secure, &tls.Config{})
		if err != nil {
			if tc.want != "" {
				t.Errorf("newDialer(%q): %v", tc.host, err)
			}
			continue
		}
		if d.address() != tc.want {
			t.Errorf("newDialer(%q) goes to %q, want %q", tc.host, d.address(), tc.want)
		}
	}
}

// T-TLS-01: certificates are checked, versions before 1.2 are not spoken.
func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", strconv.Itoa(int(r.TLS.Version)))
	}))
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())

	do := func(cfg *tls.Config) string {
		_, err := newClient(t, ClientConfig{TLS: cfg}).Do(&Request{URL: srv.URL}, in(wait.Limit))
		var e *Error
		if errors.As(err, &e) {
			return e.Class
		}
		return ""
	}
	if class := do(&tls.Config{RootCAs: pool}); class != "" {
		t.Errorf("known authority: class %s", class)
	}
	if class := do(nil); class != ClassTLS {
		t.Errorf("unknown authority: class %q, want %s", class, ClassTLS)
	}
	if class := do(&tls.Config{RootCAs: pool, ServerName: "other.example"}); class != ClassTLS {
		t.Errorf("other name: class %q, want %s", class, ClassTLS)
	}
	if class := do(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); class != ClassTLS {
		t.Errorf("old version: class %q, want %s", class, ClassTLS)
	}
	// F31: the certificate's time is over.
	later := func() time.Time { return srv.Certificate().NotAfter.Add(time.Hour) }
	if class := do(&tls.Config{RootCAs: pool, Time: later}); class != ClassTLS {
		t.Errorf("expired: class %q, want %s", class, ClassTLS)
	}
}
