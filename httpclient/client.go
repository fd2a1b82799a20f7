package httpclient

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// idle is shorter than the 5 s after which several common servers close a
	// connection: a request on one that is just being closed is lost unsent.
	idle = 4 * time.Second
	// connWait is how long a request waits for one of MaxConns to come free.
	connWait = 100 * time.Millisecond
	// exchange bounds writing and reading where a deadline is far away.
	exchange = 60 * time.Second
	// headers bounds the head of a response, in bytes.
	headers = 16 << 10
)

// ClientConfig says how a client may treat its server. The zero value serves.
type ClientConfig struct {
	// MaxConns is how many requests may be under way to one host at once; 64
	// when zero. One more waits a moment and is then refused (ClassBusy).
	MaxConns int
	// MaxBody bounds a response's body as it comes over the wire, in bytes;
	// 64 KiB when zero.
	MaxBody int
	// MaxDecoded bounds a body after decompression, in bytes. Where it is zero
	// no compression is offered and a compressed body is left as it came.
	MaxDecoded int
	// TLS is for servers that want a client certificate or have an authority
	// of their own; nil trusts what the system trusts. Versions before 1.2 are
	// never spoken.
	TLS *tls.Config
}

// Client sends requests, each once, and follows no redirect. It may be used
// from many goroutines. It is the only place that holds fasthttp's pooled
// requests and responses, so nothing that it hands out is ever overwritten.
type Client struct {
	cfg ClientConfig

	mu     sync.Mutex
	hosts  map[string]*fasthttp.HostClient
	expiry map[string]time.Time // of certificates, by the key of hosts
	closed bool
}

// Request is what is to be sent.
type Request struct {
	Method      string // GET when empty
	URL         string // absolute, http or https
	Header      [][2]string
	ContentType string // of Body
	Body        []byte
	// Fresh drops the idle connections to the host first, so that the request
	// goes out on a new one: for the second try after ClassReset.
	Fresh bool
}

// Response is what came back: a copy, which is the caller's own.
type Response struct {
	Status      int
	ContentType string
	RetryAfter  string // as the server wrote it
	Date        string // as the server wrote it
	Body        []byte
	Took        time.Duration
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
	return &Client{cfg: cfg, hosts: make(map[string]*fasthttp.HostClient), expiry: make(map[string]time.Time)}, nil
}

// Do sends a request and reads the whole response. Both end at the deadline,
// resolving, connecting and the TLS handshake included. A response of any
// status is a response; every error is an *Error.
func (c *Client) Do(req *Request, deadline time.Time) (*Response, error) {
	out, in := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(out)
	defer fasthttp.ReleaseResponse(in)

	if err := c.fill(out, req); err != nil {
		return nil, &Error{Class: ClassRequest, Err: err}
	}
	host, err := c.host(out.URI())
	if err != nil {
		return nil, &Error{Class: ClassRequest, Err: err}
	}
	if req.Fresh {
		host.CloseIdleConnections()
	}

	start := time.Now()
	err = host.DoDeadline(out, in, deadline)
	c.sweep(host)
	if err != nil {
		return nil, classify(string(out.URI().Host()), in, err)
	}
	body, err := c.body(in)
	if err != nil {
		return nil, &Error{Class: bodyClass(err), Host: string(out.URI().Host()), Sent: true, Err: err}
	}
	return &Response{
		Status:      in.StatusCode(),
		ContentType: string(in.Header.ContentType()),
		RetryAfter:  string(in.Header.Peek(fasthttp.HeaderRetryAfter)),
		Date:        string(in.Header.Peek(fasthttp.HeaderDate)),
		Body:        body,
		Took:        time.Since(start),
	}, nil
}

// Close closes the idle connections, and those in use after their request.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, h := range c.hosts {
		h.CloseIdleConnections()
	}
}

// CertificateExpiry tells when the first of the certificates ends that servers
// showed when they were connected to last; zero where none did.
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

// fill copies what the caller wants into fasthttp's request.
func (c *Client) fill(out *fasthttp.Request, req *Request) error {
	uri := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(uri)
	// Normalizing would decode %2F and fold dots: a placeholder's value could
	// then leave the part of the path that it was escaped for.
	uri.DisablePathNormalizing = true
	if err := uri.Parse(nil, []byte(req.URL)); err != nil || len(uri.Host()) == 0 {
		return errors.New("url is not absolute or not well-formed")
	}
	out.SetURI(uri)
	if req.Method != "" {
		out.Header.SetMethod(req.Method)
	}
	for _, h := range req.Header {
		if strings.ContainsAny(h[0]+h[1], "\r\n\x00") {
			return errors.New("header has a line break in it")
		}
		out.Header.Set(h[0], h[1])
	}
	if c.cfg.MaxDecoded > 0 {
		out.Header.Set(fasthttp.HeaderAcceptEncoding, "gzip")
	}
	if req.ContentType != "" {
		out.Header.SetContentType(req.ContentType)
	}
	if len(req.Body) > 0 {
		out.SetBodyRaw(req.Body)
	}
	return nil
}

// host gives the pool of connections to a URI's host. Their number is that of
// the hosts in the configuration, since no placeholder may stand in one.
func (c *Client) host(uri *fasthttp.URI) (*fasthttp.HostClient, error) {
	scheme := string(uri.Scheme())
	if scheme != "http" && scheme != "https" {
		return nil, errors.New("url is neither http nor https")
	}
	key := scheme + "://" + string(uri.Host())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("client is closed")
	}
	if h := c.hosts[key]; h != nil {
		return h, nil
	}
	d, err := newDialer(string(uri.Host()), scheme == "https", c.cfg.TLS)
	if err != nil {
		return nil, err
	}
	d.expiry = func(at time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.expiry[key] = at
	}
	h := &fasthttp.HostClient{
		Addr:                      d.address(),
		IsTLS:                     scheme == "https",
		Name:                      "ringhook",
		DialTimeout:               d.dial,
		MaxConns:                  c.cfg.MaxConns,
		MaxConnWaitTimeout:        connWait,
		MaxIdleConnDuration:       idle,
		MaxIdemponentCallAttempts: 1,
		ReadTimeout:               exchange,
		WriteTimeout:              exchange,
		ReadBufferSize:            headers,
		MaxResponseBodySize:       c.cfg.MaxBody,
		DisablePathNormalizing:    true,
		SecureErrorLogMessage:     true,
	}
	c.hosts[key] = h
	return h, nil
}

// sweep closes what a request gave back after the client was closed.
func (c *Client) sweep(h *fasthttp.HostClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		h.CloseIdleConnections()
	}
}

// body copies a response's body, decompressed where that was offered.
func (c *Client) body(in *fasthttp.Response) ([]byte, error) {
	encoding := in.Header.ContentEncoding()
	if c.cfg.MaxDecoded == 0 || len(encoding) == 0 || len(in.Body()) == 0 || strings.EqualFold(string(encoding), "identity") {
		return append([]byte(nil), in.Body()...), nil
	}
	if !strings.EqualFold(string(encoding), "gzip") {
		return nil, errors.New("content encoding was not asked for")
	}
	return in.BodyGunzipWithLimit(c.cfg.MaxDecoded)
}
