package httpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// idle is the time after which an idle connection is closed. It is shorter
	// than the 5 s of several common servers: a request on a connection that is
	// just being closed is lost.
	idle = 4 * time.Second
	// connWait is the maximum wait for one of MaxConns to become free.
	connWait = 100 * time.Millisecond
	// exchange is the maximum time of writing and reading, also if the deadline is later.
	exchange = 60 * time.Second
	// headers is the maximum size of the head of a response, in bytes.
	headers = 16 << 10
)

// ClientConfig holds the limits of a client. The zero value is usable.
type ClientConfig struct {
	// MaxConns is the maximum number of requests in progress to one host; 64
	// if zero. A further one waits a moment and then fails (ClassBusy).
	MaxConns int
	// MaxBody is the maximum size of a response's body on the wire, in bytes;
	// 64 KiB if zero.
	MaxBody int
	// MaxDecoded is the maximum size of a body after decompression, in bytes. If
	// it is zero no compression is offered, and a body is never decompressed.
	MaxDecoded int
	// TLS is for servers that want a client certificate or have their own CA;
	// nil trusts the system's CAs. Versions before 1.2 are never used.
	TLS *tls.Config
}

// Client sends requests, each once, and follows no redirect. It may be used
// from many goroutines. Nothing that it returns is ever overwritten: fasthttp's
// pooled responses do not leave it.
type Client struct {
	cfg ClientConfig

	mu     sync.Mutex
	hosts  map[target]*pool
	expiry map[target]time.Time // of certificates
	closed bool
}

// Response is the response to a request. It is a copy that belongs to the caller.
type Response struct {
	Status      int
	ContentType string
	RetryAfter  string      // as the server wrote it
	Date        string      // as the server wrote it
	Location    string      // as the server wrote it
	Header      [][2]string // if the request has KeepHeader
	Body        []byte
	Took        time.Duration
}

// StatusText returns the status for an error, and where a redirect points, of which secrets by their names are hidden.
func (r *Response) StatusText() string { return statusText(r.Status, r.Location) }

// maxLocation is the maximum length of the address of a redirect in an error, in bytes.
const maxLocation = 200

func statusText(status int, location string) string {
	if status < 300 || status > 399 || location == "" {
		return fmt.Sprintf("status %d", status)
	}
	location = MaskURL(location)
	return fmt.Sprintf("status %d, a redirect to %s, which is not followed", status, strings.ToValidUTF8(location[:min(len(location), maxLocation)], ""))
}

// NewClient makes a client. Connections are made when requests need them.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.MaxConns < 0 || cfg.MaxBody < 0 || cfg.MaxDecoded < 0 {
		return nil, errors.New("make http client: a limit is negative")
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 64
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 64 << 10
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{}
	}
	cfg.TLS = cfg.TLS.Clone()
	cfg.TLS.MinVersion = max(cfg.TLS.MinVersion, tls.VersionTLS12)
	if cfg.TLS.ClientSessionCache == nil {
		cfg.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	return &Client{cfg: cfg, hosts: make(map[target]*pool), expiry: make(map[target]time.Time)}, nil
}

// requests are buffers in which requests are written.
var requests = sync.Pool{New: func() any { return new([]byte) }}

// maxRequest is the size up to which a buffer is kept, in bytes.
const maxRequest = 64 << 10

// Do sends a request and reads the whole response. Both end at the deadline,
// resolving, connecting and the TLS handshake included. A response of any
// status is a response; every error is an *Error.
func (c *Client) Do(req *Request, deadline time.Time) (*Response, error) {
	buffer := requests.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= maxRequest {
			requests.Put(buffer)
		}
	}()
	out, to, err := req.append((*buffer)[:0], c.cfg.MaxDecoded > 0)
	*buffer = out
	if err != nil {
		return nil, &Error{Class: ClassRequest, Err: err}
	}
	host, err := c.host(to)
	if err != nil {
		return nil, &Error{Class: ClassRequest, Err: err}
	}
	if req.Fresh {
		host.closeIdle()
	}
	start := time.Now()
	if !start.Before(deadline) {
		return nil, &Error{Class: ClassTimeout, Host: to.host, Err: errors.New("deadline passed")}
	}
	conn, err := host.acquire(deadline)
	if err != nil {
		return nil, unsent(to.host, err)
	}
	in := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(in)
	in.SkipBody = req.Method == http.MethodHead // its length is that of another method
	reusable, err := conn.exchange(out, req.File, in, c.cfg.MaxBody, deadline)
	if reusable {
		host.release(conn)
	} else {
		host.discard(conn)
	}
	if err != nil {
		return nil, sent(to.host, in, err)
	}
	body, err := c.body(in)
	if err != nil {
		return nil, &Error{Class: bodyClass(err), Host: to.host, Sent: true, Err: err}
	}
	resp := &Response{
		Status:      in.StatusCode(),
		ContentType: string(in.Header.ContentType()),
		RetryAfter:  string(in.Header.Peek(fasthttp.HeaderRetryAfter)),
		Date:        string(in.Header.Peek(fasthttp.HeaderDate)),
		Location:    string(in.Header.Peek(fasthttp.HeaderLocation)),
		Body:        body,
		Took:        time.Since(start),
	}
	if req.KeepHeader {
		for name, value := range in.Header.All() {
			resp.Header = append(resp.Header, [2]string{string(name), string(value)})
		}
	}
	return resp, nil
}

// Close closes the idle connections, and those in use after their request.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, h := range c.hosts {
		h.close()
	}
}

// CertificateExpiry returns the earliest end of validity of the certificates that
// servers presented at their last connection; zero if none did.
func (c *Client) CertificateExpiry() (first time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.expiry {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// host returns the connections to a server. Their number is that of the hosts
// in the configuration, since a host has no placeholder.
func (c *Client) host(to target) (*pool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("client is closed")
	}
	if p := c.hosts[to]; p != nil {
		return p, nil
	}
	d, err := newDialer(to.host, to.secure, c.cfg.TLS)
	if err != nil {
		return nil, err
	}
	d.expiry = func(at time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.expiry[to] = at
	}
	p := newPool(d, c.cfg.MaxConns)
	c.hosts[to] = p
	return p, nil
}

// compressions are the content codings that change a body. Other words in Content-Encoding, such as a charset, are
// mistakes of the server that change nothing.
var compressions = []string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz"}

// body copies a response's body, decompressed if compression was offered.
func (c *Client) body(in *fasthttp.Response) ([]byte, error) {
	body := in.Body()
	if c.cfg.MaxDecoded == 0 || len(body) == 0 {
		return append([]byte(nil), body...), nil
	}
	var codings []string
	for word := range strings.SplitSeq(string(in.Header.ContentEncoding()), ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); slices.Contains(compressions, word) {
			codings = append(codings, strings.TrimPrefix(word, "x-"))
		}
	}
	switch {
	case len(codings) == 0:
		return append([]byte(nil), body...), nil
	case len(codings) > 1 || codings[0] != "gzip":
		return nil, fmt.Errorf("body is compressed with %s, and only gzip was offered", strings.Join(codings, ", "))
	}
	return in.BodyGunzipWithLimit(c.cfg.MaxDecoded)
}
