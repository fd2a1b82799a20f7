package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// headStart is the time after which the next address is tried in parallel.
	headStart = 150 * time.Millisecond
	// resolveEvery is the time for which resolved addresses are used without
	// asking again, and resolveAgain that after a failure of the resolver.
	resolveEvery = time.Minute
	resolveAgain = 5 * time.Second
	// resolveKeep is the time for which they are used while the resolver is down.
	resolveKeep = 24 * time.Hour
	maxAddrs    = 8
)

// dialer connects to one host. The deadline covers resolving its name and the TLS
// handshake too.
type dialer struct {
	host    string
	port    uint16
	tls     *tls.Config // nil for http
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// expiry is called with the end of validity of the server's certificate.
	expiry func(time.Time)

	mu    sync.Mutex
	addrs []netip.Addr // the one that last answered first
	good  time.Time    // when they were resolved
	next  time.Time    // when to resolve again
}

// newDialer makes a dialer for a URL's host, with or without a port.
func newDialer(hostport string, secure bool, config *tls.Config) (*dialer, error) {
	d := &dialer{port: 80, expiry: func(time.Time) {}, resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	if secure {
		d.port = 443
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = hostport, ""
		if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
			host = host[1 : n-1]
		}
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, errors.New("port is not a number from 1 to 65535")
		}
		d.port = uint16(n)
	}
	d.host = host
	if secure {
		d.tls = config.Clone()
		if d.tls.ServerName == "" {
			d.tls.ServerName = host
		}
	}
	return d, nil
}

// address is the host with its port.
func (d *dialer) address() string {
	return net.JoinHostPort(d.host, strconv.Itoa(int(d.port)))
}

// dial connects before the deadline, which covers all of it. Its errors are
// *dialError.
func (d *dialer) dial(deadline time.Time) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()

	addrs, err := d.addresses(ctx)
	if err != nil {
		return nil, dialFailure(ClassDNS, err)
	}
	// The checked addresses are dialled, not the name: it may resolve to another
	// address the next time.
	if addrs, err = permitted(addrs); err != nil {
		d.doubt()
		return nil, dialFailure(ClassBlocked, err)
	}
	conn, addr, err := race(ctx, addrs, d.port)
	if err != nil {
		d.doubt()
		return nil, dialFailure(ClassConnect, err)
	}
	d.prefer(addr)
	if d.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, d.tls)
	err = secure.HandshakeContext(ctx)
	shown := secure.ConnectionState().PeerCertificates
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		shown = refused.UnverifiedCertificates
	}
	if len(shown) > 0 {
		d.expiry(shown[0].NotAfter)
	}
	if err != nil {
		conn.Close()
		return nil, dialFailure(ClassTLS, err)
	}
	return secure, nil
}

func dialFailure(class string, err error) error {
	if isTimeout(err) {
		class = ClassTimeout
	}
	return &dialError{class: class, err: err}
}

// addresses resolves the host. If the resolver fails, or takes more than a
// quarter of the time, it returns the addresses that were good before.
func (d *dialer) addresses(ctx context.Context) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(d.host); err == nil {
		return []netip.Addr{addr}, nil
	}
	now := time.Now()
	d.mu.Lock()
	known, good, next := d.addrs, d.good, d.next
	d.mu.Unlock()
	usable := len(known) > 0 && now.Sub(good) < resolveKeep
	if usable && now.Before(next) {
		return known, nil
	}
	if end, ok := ctx.Deadline(); ok && usable {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/4)
		defer cancel()
	}
	found, err := d.resolve(ctx, d.host)
	if err == nil && len(found) == 0 {
		err = errors.New("host has no address")
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		if !usable {
			return nil, err
		}
		d.next = now.Add(resolveAgain)
		return known, nil
	}
	found = alternate(found)
	if len(d.addrs) > 0 {
		found = first(found, d.addrs[0])
	}
	d.addrs, d.good, d.next = found, now, now.Add(resolveEvery)
	return found, nil
}

// prefer moves the address that answered to the front.
func (d *dialer) prefer(addr netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addrs = first(d.addrs, addr)
}

// doubt has the host resolved again soon, because no address of it answers.
func (d *dialer) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if again := time.Now().Add(resolveAgain); again.Before(d.next) {
		d.next = again
	}
}

// first returns the list with one of its addresses in front.
func first(addrs []netip.Addr, addr netip.Addr) []netip.Addr {
	i := slices.Index(addrs, addr)
	if i <= 0 {
		return addrs
	}
	moved := slices.Clone(addrs)
	copy(moved[1:], addrs[:i])
	moved[0] = addr
	return moved
}

// alternate orders addresses so that the two families take turns, beginning
// with the one that the resolver put first, and cuts them at maxAddrs.
func alternate(addrs []netip.Addr) []netip.Addr {
	var turn [2][]netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		family := 0
		if a.Is4() != addrs[0].Unmap().Is4() {
			family = 1
		}
		turn[family] = append(turn[family], a)
	}
	ordered := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(turn[0]), len(turn[1])) {
		for _, family := range turn {
			if i < len(family) {
				ordered = append(ordered, family[i])
			}
		}
	}
	return ordered[:min(len(ordered), maxAddrs)]
}

// race connects to the addresses, each begun when the one before it failed or
// has had its head start, and returns the first connection. It returns only
// when no attempt is left. net.Dialer does the same for a name, but it would
// resolve the name again: to other addresses than those that were checked, and
// without those that were good before the resolver failed.
func race(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	type result struct {
		conn net.Conn
		addr netip.Addr
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs))
	begin := func(addr netip.Addr) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, port).String())
		results <- result{conn, addr, err}
	}

	var won, failed result
	begun, ended := 0, 0
	for ended < len(addrs) && (won.conn == nil || ended < begun) {
		if won.conn == nil && begun == ended {
			go begin(addrs[begun])
			begun++
		}
		var wait <-chan time.Time
		if won.conn == nil && begun < len(addrs) {
			wait = time.After(headStart)
		}
		select {
		case <-wait:
			go begin(addrs[begun])
			begun++
		case r := <-results:
			ended++
			switch {
			case r.err != nil:
				if failed.err == nil {
					failed = r
				}
			case won.conn == nil:
				won = r
				cancel()
			default:
				r.conn.Close()
			}
		}
	}
	if won.conn != nil {
		return won.conn, won.addr, nil
	}
	return nil, netip.Addr{}, failed.err
}
