package httpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

// T-SSRF-01: in whatever form, what is no place for a receiver is refused, and
// where receivers live is not.
func TestBlockedAddresses(t *testing.T) {
	for _, addr := range []string{
		"0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1", "fd00:ec2::254",
		"::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
		"2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::169.254.169.254", "::127.0.0.1", "::ffff:0:169.254.169.254", "100::1",
		"fd20:ce::254", "100.100.100.200", "168.63.129.16", "fd00:42::42", "fd00:c1::a9fe:a9fe", "fec0::1", "feff::1", "3fff:fff::1", "100:0:0:1::1",
		"::ffff:168.63.129.16", "64:ff9b::6464:64c8", "fd00:ec2::23",
	} {
		if checkAddr(netip.MustParseAddr(addr)) == nil {
			t.Errorf("%s may be connected to", addr)
		}
	}
	for _, addr := range []string{
		"127.0.0.1", "::1", "10.0.0.1", "100.100.100.201", "168.63.129.17", "fd00:42::43", "fd20:ce::255", "fd00:ec3::1", "100:0:0:2::1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "1.1.1.1", "fd12:3456::1", "2606:4700::1111", "::ffff:10.0.0.1", "64:ff9b::101:101",
	} {
		if err := checkAddr(netip.MustParseAddr(addr)); err != nil {
			t.Error(err)
		}
	}
}

// T-SSRF-01: the address that is dialled is the one that was checked, whatever
// the resolver says the next moment; a literal is checked too, and what is blocked
// among others is left out.
func TestBlockedIsNotDialled(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	var asked atomic.Int32
	flips := testDialer(port, func(context.Context) ([]netip.Addr, error) {
		if asked.Add(1)%2 == 1 {
			return addrs("127.0.0.1"), nil
		}
		return addrs("169.254.169.254"), nil
	})
	flips.next = time.Time{}
	conn, err := flips.dial(in(wait.Limit))
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.1" {
		t.Errorf("connected to %s", got)
	}
	conn.Close()
	blocked := func(what string, d *dialer) {
		t.Helper()
		_, err := d.dial(in(wait.Limit))
		var e *dialError
		if !errors.As(err, &e) || e.class != ClassBlocked {
			t.Errorf("%s: %v, want class %s", what, err, ClassBlocked)
		}
	}
	flips.next = time.Time{}
	blocked("a name that resolves elsewhere the second time", flips)
	for _, host := range []string{"169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254", "fe80::1%lo"} {
		blocked(host, &dialer{host: host, port: port})
	}
	mixed := testDialer(port, func(context.Context) ([]netip.Addr, error) { return addrs("0.0.0.0", "127.0.0.1", "169.254.1.1"), nil })
	conn, err = mixed.dial(in(wait.Limit))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// T-SSRF-01, T-CRM-04: a redirect to there is not followed, and a URL that
// names the place is refused.
func TestBlockedByURL(t *testing.T) {
	url := raw(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n")
	})
	c := newClient(t, ClientConfig{})
	if resp, err := c.Do(&Request{URL: url}, in(wait.Limit)); err != nil || resp.Status != 302 {
		t.Errorf("redirect: %+v, %v", resp, err)
	}
	// Forms of an address that a resolver might take for one: none gets through.
	for _, host := range []string{
		"169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1%25lo]", "0.0.0.0", "[::]", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376",
		"169.254.43518", "169.254.169.254.", "%31%36%39.254.169.254",
	} {
		_, err := c.Do(&Request{URL: "http://" + host + "/latest/"}, in(300*time.Millisecond)) // if no resolver answers
		var e *Error
		if !errors.As(err, &e) || e.Sent || e.Class == ClassConnect {
			t.Errorf("%s: %v", host, err)
		}
	}
}
