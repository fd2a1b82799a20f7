package httpclient

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

// raw starts a server that reads one request's head from each connection and
// then calls serve. It returns the server's URL.
func raw(t testing.TB, serve func(conn net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					serve(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + ln.Addr().String()
}

func newClient(t testing.TB, cfg ClientConfig) *Client {
	t.Helper()
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

// untilClosed holds a connection until the other side closes it.
func untilClosed(conn net.Conn) { io.Copy(io.Discard, conn) }

func bomb(size int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, size))
	z.Close()
	return b.Bytes()
}

// T-CRM-03, F3 to F6: whatever a server does, Do ends by its deadline with the
// class that says what it did.
func TestBadServer(t *testing.T) {
	gz := bomb(16 << 20)
	cases := []struct {
		name  string
		serve func(conn net.Conn)
		class string // empty where a response comes
	}{
		{"silent", untilClosed, ClassTimeout},
		{"closes", func(net.Conn) {}, ClassReset},
		{"resets", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, ClassReset},
		{"drips head", func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 5000)) }, ClassTimeout},
		{"drips body", func(c net.Conn) {
			drip(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"+strings.Repeat("y", 5000))
		}, ClassTimeout},
		{"endless head", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless(c, "X-More: and more\r\n")
		}, ClassTooLarge},
		{"endless status line", func(c net.Conn) { endless(c, "HTTP/1.1 200 OKOKOKOKOKOKOK") }, ClassTooLarge},
		{"endless interim responses", func(c net.Conn) { endless(c, "HTTP/1.1 100 Continue\r\n\r\n") }, ClassProtocol},
		{"endless body", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			endless(c, strings.Repeat("z", 4096))
		}, ClassTooLarge},
		{"endless chunks", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			endless(c, "400\r\n"+strings.Repeat("z", 0x400)+"\r\n")
		}, ClassTooLarge},
		{"endless extension of a chunk", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;")
			endless(c, strings.Repeat("z", 4096))
		}, ClassTooLarge},
		{"one huge chunk", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n")
			untilClosed(c)
		}, ClassTooLarge},
		{"huge length", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 68719476736\r\n\r\n")
			untilClosed(c)
		}, ClassTooLarge},
		{"half a body", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}, ClassProtocol},
		{"half a chunk", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf")
		}, ClassProtocol},
		{"chunks without an end", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		}, ClassProtocol},
		{"half a head", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-") }, ClassProtocol},
		{"not HTTP", func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP\r\n\r\n") }, ClassProtocol},
		{"gzip bomb", func(c net.Conn) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", len(gz))
			c.Write(gz)
		}, ClassTooLarge},
		{"gzip that is none", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone")
		}, ClassProtocol},
		{"encoding not asked for", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nnone")
		}, ClassProtocol},
		{"redirect to itself", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
		}, ""},
		{"ends with the connection", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nname=Anna") }, ""},
		{"gzip without a body", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n")
		}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			url := raw(t, func(conn net.Conn) {
				requests.Add(1)
				tc.serve(conn)
			})
			c := newClient(t, ClientConfig{MaxBody: 256 << 10, MaxDecoded: 1 << 20})
			deadline := in(wait.Limit)
			if tc.class == ClassTimeout {
				deadline = in(400 * time.Millisecond)
			}
			resp, err := c.Do(&Request{URL: url + "/who?token=s3cret"}, deadline)
			wait.Until(t, func() bool { return requests.Load() > 0 }, "the server got no request")
			if n := requests.Load(); n != 1 {
				t.Errorf("server got %d requests, want 1", n)
			}
			if tc.class == "" {
				if err != nil {
					t.Fatalf("Do: %v, want a response", err)
				}
				if resp.Took <= 0 {
					t.Errorf("Took = %v", resp.Took)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Class != tc.class {
				t.Fatalf("Do: %v, want class %s", err, tc.class)
			}
			if !e.Sent {
				t.Errorf("Sent = false, but the server got the request")
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error shows the secret: %v", err)
			}
		})
	}
}

// F5: 64 MiB in 65 kB take no more memory than an answer may.
func TestBombMemory(t *testing.T) {
	gz := bytes.Repeat(bomb(1<<20), 64)
	url := raw(t, func(c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", len(gz))
		c.Write(gz)
	})
	c := newClient(t, ClientConfig{MaxBody: 256 << 10, MaxDecoded: 1 << 20})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Do(&Request{URL: url}, in(wait.Limit))
	runtime.ReadMemStats(&after)
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassTooLarge {
		t.Errorf("Do: %v, want class %s", err, ClassTooLarge)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("%d bytes were allocated for an answer of %d", took, len(gz))
	}
}

func endless(conn net.Conn, s string) {
	for {
		if _, err := io.WriteString(conn, s); err != nil {
			return
		}
	}
}

func drip(conn net.Conn, s string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range len(s) {
		<-tick.C
		if _, err := conn.Write([]byte{s[i]}); err != nil {
			return
		}
	}
}

func TestUnsent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	plain := strings.TrimPrefix(raw(t, untilClosed), "http://")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	cert.Config.ErrorLog = nil

	cases := []struct {
		name  string
		req   Request
		class string
	}{
		{"refused", Request{URL: "http://" + closed}, ClassConnect},
		{"unknown authority", Request{URL: cert.URL}, ClassTLS},
		{"silent handshake", Request{URL: "https://" + silent.Addr().String()}, ClassTimeout},
		{"no name", Request{URL: "http://no-such-host.invalid/"}, ClassDNS},
		{"no scheme", Request{URL: "crm.example/who"}, ClassRequest},
		{"other scheme", Request{URL: "ftp://crm.example/who"}, ClassRequest},
		{"no host", Request{URL: "http:///who"}, ClassRequest},
		{"port", Request{URL: "http://crm.example:99999/"}, ClassRequest},
		{"line break in url", Request{URL: "http://crm.example/\r\nX: y"}, ClassRequest},
		{"line break in header", Request{URL: "http://" + plain, Header: [][2]string{{"X", "a\r\nY: b"}}}, ClassRequest},
		{"empty", Request{}, ClassRequest},
	}
	c := newClient(t, ClientConfig{})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			deadline := in(wait.Limit)
			if tc.class == ClassTimeout || tc.class == ClassDNS { // if no resolver answers
				deadline = in(time.Second)
			}
			_, err := c.Do(&tc.req, deadline)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Do: %v, want an *Error", err)
			}
			// Where no resolver answers at all, a name takes until the deadline.
			if e.Class != tc.class && !(tc.class == ClassDNS && e.Class == ClassTimeout) {
				t.Errorf("Do: %v, want class %s", err, tc.class)
			}
			if e.Sent {
				t.Errorf("Sent = true for %v", err)
			}
		})
	}
	if _, err := c.Do(&Request{URL: "http://" + plain}, in(-time.Second)); err == nil {
		t.Error("Do after the deadline: no error")
	}
}

func TestRequestAsGiven(t *testing.T) {
	got := make(chan *http.Request, 1)
	body := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r
		body <- string(b)
		w.Header().Set("Retry-After", "120")
		w.Header().Set("Content-Type", "text/plain; charset=koi8-r")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "busy")
	}))
	defer srv.Close()
	c := newClient(t, ClientConfig{MaxDecoded: 1 << 20})
	resp, err := c.Do(&Request{
		Method: "POST", URL: srv.URL + "/a%2Fb/../c?d=%26e",
		Header: [][2]string{{"X-One", "1"}, {"Authorization", "Bearer t"}}, ContentType: "text/csv", Body: []byte("x,y"),
	}, in(wait.Limit))
	if err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.Method != "POST" || r.RequestURI != "/a%2Fb/../c?d=%26e" {
		t.Errorf("server got %s %s", r.Method, r.RequestURI)
	}
	for name, want := range map[string]string{
		"X-One": "1", "Authorization": "Bearer t", "Content-Type": "text/csv", "Accept-Encoding": "gzip", "User-Agent": "ringhook",
	} {
		if v := r.Header.Get(name); v != want {
			t.Errorf("header %s = %q, want %q", name, v, want)
		}
	}
	if b := <-body; b != "x,y" {
		t.Errorf("body = %q", b)
	}
	if resp.Status != 503 || resp.RetryAfter != "120" || resp.ContentType != "text/plain; charset=koi8-r" ||
		string(resp.Body) != "busy" || resp.Date == "" {
		t.Errorf("response = %+v", resp)
	}
}

// A hook's receiver is offered no compression, and what it compresses unasked
// is left as it came.
func TestNoCompressionOffered(t *testing.T) {
	zipped := bomb(10)
	url := raw(t, func(c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(zipped), zipped)
	})
	resp, err := newClient(t, ClientConfig{}).Do(&Request{URL: url}, in(wait.Limit))
	if err != nil || !bytes.Equal(resp.Body, zipped) {
		t.Errorf("Do: %v, %v", resp, err)
	}
}

// A connection that the server closed while it was idle fails the request, and
// a Fresh one then goes out on a new connection.
func TestFresh(t *testing.T) {
	closed := make(chan struct{}, 8)
	url := raw(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		http.ReadRequest(bufio.NewReader(c))
		c.Close()
		closed <- struct{}{}
	})
	c := newClient(t, ClientConfig{})
	if _, err := c.Do(&Request{URL: url}, in(wait.Limit)); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := c.Do(&Request{URL: url}, in(wait.Limit)); !errors.As(err, &e) || e.Class != ClassReset {
		t.Fatalf("on the closed connection: %v, want class %s", err, ClassReset)
	}
	<-closed
	if _, err := c.Do(&Request{URL: url, Fresh: true}, in(wait.Limit)); err != nil {
		t.Errorf("fresh: %v", err)
	}
}

func TestBusy(t *testing.T) {
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	url := raw(t, func(net.Conn) {
		arrived <- struct{}{}
		<-release
	})
	c := newClient(t, ClientConfig{MaxConns: 1})
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(&Request{URL: url}, in(wait.Limit))
		done <- err
	}()
	<-arrived
	var e *Error
	if _, err := c.Do(&Request{URL: url}, in(100*time.Millisecond)); !errors.As(err, &e) || e.Class != ClassBusy || e.Sent {
		t.Errorf("second request: %v, want class %s, unsent", err, ClassBusy)
	}
	close(release)
	if err := <-done; err == nil {
		t.Error("first request: no error, though the server closed the connection")
	}
}

// T-HTTP-06: of many responses at once, each is the one to its own request,
// and stays so while later ones come in.
func TestResponsesAreNeverShared(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat(r.URL.Query().Get("n")+",", 50))
	}))
	defer srv.Close()
	c := newClient(t, ClientConfig{MaxConns: 1000})
	bodies := make([][]byte, 1000)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			resp, err := c.Do(&Request{URL: fmt.Sprintf("%s/?n=%d", srv.URL, i)}, in(wait.Limit))
			if err != nil {
				t.Error(err)
				return
			}
			bodies[i] = resp.Body
		})
	}
	wg.Wait()
	for i, b := range bodies {
		if want := strings.Repeat(fmt.Sprintf("%d,", i), 50); string(b) != want {
			t.Fatalf("response %d is %.40q", i, b)
		}
	}
}

// T-HTTP-06: fasthttp's pooled requests and responses, and its unbounded
// decoders, are for this package alone.
func TestPoolsAreUsedHereOnly(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || filepath.Dir(path) == filepath.Join("..", "httpclient") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range []string{"AcquireRequest(", "AcquireResponse(", ".BodyGunzip(", ".BodyUncompressed(", ".BodyInflate("} {
			if strings.Contains(string(text), name) {
				t.Errorf("%s uses %s", path, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkDo(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "name=Anna")
	}))
	defer srv.Close()
	c := newClient(b, ClientConfig{})
	req := &Request{URL: srv.URL + "/who?phone=%2B74951234567"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(req, in(wait.Limit)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestHead checks that the answer to HEAD has the headers, and no body to wait for.
func TestHead(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("Content-Length", "5000")
	}))
	defer s.Close()
	c := newClient(t, ClientConfig{MaxBody: 10})
	for range 2 { // the second one on the same connection
		resp, err := c.Do(&Request{Method: http.MethodHead, URL: s.URL, KeepHeader: true}, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Body) > 0 || !slices.Contains(resp.Header, [2]string{"X-Method", "HEAD"}) {
			t.Errorf("got %+v", resp)
		}
	}
}
