package httpclient

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/test/wait"
)

// answering starts a server that answers each request with its path, and adds to the response what extra returns for
// the number of the request on its connection, counted from 1: in the same write, or after a pause.
func answering(t *testing.T, secure bool, answer func(n int, path string) string, extra func(n int, conn net.Conn)) (url string, client *Client, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	serve := func(conn net.Conn) {
		defer conn.Close()
		conns.Add(1)
		r := bufio.NewReader(conn)
		for n := 1; ; n++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, answer(n, req.URL.Path)); err != nil {
				return
			}
			if extra != nil {
				extra(n, conn)
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, scheme := ClientConfig{}, "http"
	if secure {
		srv := httptest.NewUnstartedServer(nil)
		srv.StartTLS()
		pool := x509.NewCertPool()
		pool.AddCert(srv.Certificate())
		ln = tls.NewListener(ln, &tls.Config{Certificates: srv.TLS.Certificates})
		srv.Close()
		cfg.TLS, scheme = &tls.Config{RootCAs: pool}, "https"
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return scheme + "://" + ln.Addr().String(), newClient(t, cfg), conns
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// TestAnswerNobodyAskedFor wants every request to have its own answer or an error, never the answer of another, whatever a
// server sends too much of, and whenever it comes.
func TestAnswerNobodyAskedFor(t *testing.T) {
	arrived := make(chan struct{}, 100)
	late := func(text string) func(int, net.Conn) {
		return func(_ int, conn net.Conn) {
			io.WriteString(conn, text)
			arrived <- struct{}{}
		}
	}
	cases := map[string]struct {
		answer func(n int, path string) string
		extra  func(n int, conn net.Conn)
		fails  bool // the answer itself is an error
	}{
		"a second response":        {answer: func(_ int, path string) string { return ok(path) + ok("stray") }},
		"a second response, later": {answer: func(_ int, path string) string { return ok(path) }, extra: late(ok("stray"))},
		"half a second response":   {answer: func(_ int, path string) string { return ok(path) + "HTTP/1.1 200 OK\r\nContent-Le" }},
		"more than the buffer":     {answer: func(_ int, path string) string { return ok(path) + ok(strings.Repeat("stray", 20_000)) }},
		"a body that is too long":  {answer: func(_ int, path string) string { return ok(path) + "too long" }},
		"a line break":             {answer: func(_ int, path string) string { return ok(path) + "\r\n" }},
		"a body after 204": {answer: func(_ int, path string) string {
			return "HTTP/1.1 204 No Content\r\nX-Path: " + path + "\r\n\r\n" + ok("stray")
		}},
		"a body announced by 204": {answer: func(_ int, path string) string {
			return "HTTP/1.1 204 No Content\r\nX-Path: " + path + "\r\nContent-Length: 5\r\n\r\n"
		}, extra: late("stray")},
		"a body in chunks after 304": {answer: func(_ int, path string) string {
			return "HTTP/1.1 304 Not Modified\r\nX-Path: " + path + "\r\nTransfer-Encoding: chunked\r\n\r\n"
		}, extra: late("5\r\nstray\r\n0\r\n\r\n")},
		"an upgrade": {answer: func(_ int, path string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nX-Path: " + path + "\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
		}, extra: late(ok("stray"))},
		"an early hint before":      {answer: func(_ int, path string) string { return "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(path) }},
		"a late early hint":         {answer: func(_ int, path string) string { return ok(path) }, extra: late("HTTP/1.1 100 Continue\r\n\r\n")},
		"a protocol error and more": {answer: func(_ int, _ string) string { return "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + ok("stray") }, fails: true},
		"two lengths": {answer: func(_ int, path string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\n" + path
		}, fails: true},
		"the end of the connection":       {answer: func(_ int, path string) string { return ok(path) }, extra: func(_ int, conn net.Conn) { conn.Close(); arrived <- struct{}{} }},
		"a closing that is not announced": {answer: func(_ int, path string) string { return "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n" + path }},
	}
	for name, tc := range cases {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%v", name, secure), func(t *testing.T) {
				url, client, _ := answering(t, secure, tc.answer, tc.extra)
				for i := range 8 {
					path := fmt.Sprintf("/%d", i)
					resp, err := client.Do(&Request{Method: "POST", URL: url + path, Body: []byte("x"), KeepHeader: true}, in(wait.Limit))
					if tc.extra != nil {
						<-arrived
					}
					if err != nil {
						if !tc.fails {
							t.Errorf("%s: %v", path, err)
						}
						continue
					}
					got := string(resp.Body)
					for _, h := range resp.Header {
						if h[0] == "X-Path" {
							got = h[1]
						}
					}
					if got != path || tc.fails {
						t.Errorf("request %s was answered %q", path, got)
					}
				}
			})
		}
	}
}

// TestReuse wants connections to be used again while the server does nothing wrong.
func TestReuse(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, answer := range map[string]func(n int, path string) string{
			"length": func(_ int, path string) string { return ok(path) },
			"chunks": func(_ int, path string) string {
				return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(path), path)
			},
			"204":         func(int, string) string { return "HTTP/1.1 204 No Content\r\n\r\n" },
			"early hints": func(_ int, path string) string { return "HTTP/1.1 103 Early Hints\r\n\r\n" + ok(path) },
		} {
			t.Run(fmt.Sprintf("%s/tls=%v", name, secure), func(t *testing.T) {
				url, client, conns := answering(t, secure, answer, nil)
				for range 5 {
					if _, err := client.Do(&Request{URL: url + "/x"}, in(wait.Limit)); err != nil {
						t.Fatal(err)
					}
				}
				if n := conns.Load(); n != 1 {
					t.Errorf("5 requests took %d connections", n)
				}
			})
		}
	}
}

// TestAnnouncedClose wants no request on a connection that the server is about to close: it would be lost.
func TestAnnouncedClose(t *testing.T) {
	for _, options := range []string{
		"close", "Close", "keep-alive, close", "close,TE", "close\r\nConnection: keep-alive", "keep-alive\r\nX: y\r\nconnection: TE, close", "\tclose \r\nConnection:",
	} {
		url, client, conns := answering(t, false, func(_ int, path string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s", options, len(path), path)
		}, nil)
		for range 3 {
			if _, err := client.Do(&Request{URL: url + "/x"}, in(wait.Limit)); err != nil {
				t.Fatal(err)
			}
		}
		if n := conns.Load(); n != 3 {
			t.Errorf("%s: 3 requests took %d connections, want 3", options, n)
		}
	}
}

// TestAnnouncedBody wants no request on a connection on which the body of a response without one may still come.
func TestAnnouncedBody(t *testing.T) {
	for _, head := range []string{
		"204 No Content\r\nContent-Length: 5", "304 Not Modified\r\nContent-Length: 5", "204 No Content\r\nTransfer-Encoding: chunked", "304 Not Modified\r\nTransfer-Encoding: chunked",
	} {
		url, client, conns := answering(t, false, func(int, string) string { return "HTTP/1.1 " + head + "\r\n\r\n" }, nil)
		for range 3 {
			if _, err := client.Do(&Request{URL: url + "/x"}, in(wait.Limit)); err != nil {
				t.Fatal(err)
			}
		}
		if n := conns.Load(); n != 3 {
			t.Errorf("%q: 3 requests took %d connections, want 3", head, n)
		}
	}
}

// TestReuseAfterDeadline wants a connection to serve a second request after the deadline of the first has passed.
func TestReuseAfterDeadline(t *testing.T) {
	url, client, conns := answering(t, false, func(_ int, path string) string { return ok(path) }, nil)
	if _, err := client.Do(&Request{URL: url + "/x"}, in(wait.Limit)); err != nil {
		t.Fatal(err)
	}
	for _, p := range client.hosts {
		p.idle[0].SetDeadline(aLongTimeAgo) // as it is when the first deadline has passed
	}
	if _, err := client.Do(&Request{URL: url + "/x"}, in(wait.Limit)); err != nil || conns.Load() != 1 {
		t.Errorf("second request: %v, over %d connections", err, conns.Load())
	}
}

// TestCutShort wants a response that ends in the middle to be reported as such, however it is framed, and only a connection
// that ends before the first byte as one that was reset.
func TestCutShort(t *testing.T) {
	for name, text := range map[string]string{
		"head":               "HTTP/1.1 200 OK\r\nContent-",
		"length":             "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunk":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"size of a chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6",
		"between two chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"before a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"before the trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
	} {
		url := raw(t, func(c net.Conn) { io.WriteString(c, text) })
		_, err := newClient(t, ClientConfig{}).Do(&Request{URL: url}, in(wait.Limit))
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassProtocol || !strings.HasSuffix(err.Error(), "the response was cut short") {
			t.Errorf("%s: %v", name, err)
		}
	}
	url := raw(t, func(net.Conn) {})
	_, err := newClient(t, ClientConfig{}).Do(&Request{URL: url}, in(wait.Limit))
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassReset || !strings.Contains(err.Error(), "before the first byte") {
		t.Errorf("nothing: %v", err)
	}
}

// TestErrorsQuoteNothing wants no byte of a malformed response in an error: it may repeat a secret of the request.
func TestErrorsQuoteNothing(t *testing.T) {
	for _, text := range []string{
		"hush-1 is no HTTP\r\n\r\n", "HTTP/1.1 hush-1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nhush-1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: hush-1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: hush-1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: hush-1\x01\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhush-1\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: hush-1, br\r\nContent-Length: 1\r\n\r\nx",
	} {
		url := raw(t, func(c net.Conn) { io.WriteString(c, text) })
		_, err := newClient(t, ClientConfig{MaxDecoded: 1 << 20}).Do(&Request{URL: url}, in(wait.Limit))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q returns %v", text, err)
		}
	}
}

// TestHeaderNames wants the names of headers to be sent as they are written, in their order: some receivers compare them
// letter by letter.
func TestHeaderNames(t *testing.T) {
	got := make(chan string, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		var text strings.Builder
		for !strings.HasSuffix(text.String(), "\r\n\r\n{}") {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			text.WriteByte(b)
		}
		io.WriteString(conn, ok(""))
		got <- text.String()
	}()
	req := &Request{
		Method: "POST", URL: "http://user:p%40ss@" + ln.Addr().String() + "/a?b=c", ContentType: "application/json", Body: []byte("{}"),
		Header: [][2]string{{"webhook-id", "msg_1"}, {"SOAPAction", `"x"`}, {"x-API-key", "k"}, {"X_Under", "u"}},
	}
	if _, err := newClient(t, ClientConfig{}).Do(req, in(wait.Limit)); err != nil {
		t.Fatal(err)
	}
	want := "POST /a?b=c HTTP/1.1\r\nHost: " + ln.Addr().String() + "\r\nUser-Agent: ringhook\r\nwebhook-id: msg_1\r\nSOAPAction: \"x\"\r\n" +
		"x-API-key: k\r\nX_Under: u\r\nAuthorization: Basic dXNlcjpwQHNz\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	sent := <-got
	if sent != want {
		t.Errorf("sent %q\nwant %q", sent, want)
	}
	if shown, err := req.AppendTo(nil); err != nil || string(shown) != sent {
		t.Errorf("shown %q, %v", shown, err)
	}
}

// TestEncodingThatIsNone wants a Content-Encoding that names no compression to be ignored, and one that was not offered to
// be named in the error.
func TestEncodingThatIsNone(t *testing.T) {
	f := func(encoding, want string) {
		t.Helper()
		url := raw(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: "+encoding+"\r\nContent-Length: 9\r\n\r\nname=Anna")
		})
		resp, err := newClient(t, ClientConfig{MaxDecoded: 1 << 20}).Do(&Request{URL: url}, in(wait.Limit))
		if want == "" {
			if err != nil || string(resp.Body) != "name=Anna" {
				t.Errorf("%s: %v", encoding, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", encoding, err, want)
		}
	}
	for _, none := range []string{"UTF-8", "none", "8bit", "identity", "binary", "utf-8, identity", `""`, "windows-1251"} {
		f(none, "")
	}
	f("br", "br")
	f("deflate, gzip", "deflate, gzip")
	f("zstd", "zstd")
}

// TestNotReused checks that no request follows on a connection after a response that may be followed by bytes of no
// response, even if none have come yet, or after an error.
func TestNotReused(t *testing.T) {
	for name, head := range map[string]string{
		"a body announced by 204":   "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"a body in chunks of a 304": "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
		"an upgrade":                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"no valid HTTP":             "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"a body that is too large":  "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, client, conns := answering(t, false, func(int, string) string { return head }, nil)
			for range 3 {
				_, err := client.Do(&Request{Method: "POST", URL: url, Body: []byte("x")}, in(wait.Limit))
				if fails := strings.HasPrefix(head, "HTTP/1.1 200"); (err != nil) != fails {
					t.Fatal(err)
				}
			}
			if n := conns.Load(); n != 3 {
				t.Errorf("%d connections for 3 requests", n)
			}
		})
	}
}
