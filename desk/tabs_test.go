package desk

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestManyTabsAtOnce opens more tabs of an agent than are allowed before the first of them can leave.
func TestManyTabsAtOnce(t *testing.T) {
	h := serve(t)
	var tabs []*stream
	for range 5 * maxTabs {
		s, status := h.tab("7")
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		tabs = append(tabs, s)
	}
	if got := h.Desks("7"); got != maxTabs {
		t.Errorf("%d tabs, want %d", got, maxTabs)
	}
	for _, s := range tabs[:len(tabs)-maxTabs] {
		if len(s.gone) != 1 {
			t.Error("a tab that is not counted was not ended")
		}
	}
	for _, s := range tabs {
		h.leave("7", s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams != 0 || len(h.hubs["7"].streams) != 0 {
		t.Errorf("after all have left: %d streams, %d of the agent", h.streams, len(h.hubs["7"].streams))
	}
}

// TestStreamOfEachProtocol checks that a stream over HTTP/1.1, whose connection is taken from the HTTP server, and one over
// HTTP/2, whose connection is not, have the same headers, and end with the browser and with the server.
func TestStreamOfEachProtocol(t *testing.T) {
	for _, major := range []int{1, 2} {
		h := serve(t)
		server := httptest.NewUnstartedServer(h.http.Handler)
		server.EnableHTTP2 = major == 2
		server.StartTLS()
		defer server.Close()
		signedIn := h.signedIn("7")
		c := server.Client()
		c.Jar, h.url = signedIn.Jar, server.URL
		listen := func() (*http.Response, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/me/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			return resp, cancel
		}
		resp, leave := listen()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if got := resp.Header.Get(name); got != want || resp.StatusCode != 200 || resp.ProtoMajor != major {
				t.Errorf("HTTP/%d: %d %s: %q, want %q", resp.ProtoMajor, resp.StatusCode, name, got, want)
			}
		}
		if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
			t.Error(err)
		}
		if n := h.Desks("7"); n != 1 {
			t.Errorf("HTTP/%d: %d tabs", major, n)
		}
		leave()
		wait.Until(t, func() bool { return h.Desks("7") == 0 }, "HTTP/%d: a tab that is closed has a stream", major)
		resp, leave = listen()
		defer leave()
		m := messages{t: t, lead: bufio.NewScanner(resp.Body)}
		m.next("hello")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if bye := m.next("bye"); bye["reason"] != byeRestart {
			t.Errorf("HTTP/%d: %v", major, bye)
		}
		for m.lead.Scan() {
			if m.lead.Text() != "" {
				t.Errorf("HTTP/%d: after the end comes %q", major, m.lead.Text())
			}
		}
		if err := m.lead.Err(); err != nil {
			t.Error(err)
		}
	}
}

// panicking is a listener whose connections panic when a stream is written.
type panicking struct{ net.Listener }

type panickingConn struct{ net.Conn }

func (l panicking) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return panickingConn{c}, err
}

func (c panickingConn) Write(text []byte) (int, error) {
	if bytes.Contains(text, []byte("retry: ")) {
		panic("a bug")
	}
	return c.Conn.Write(text)
}

// TestStreamPanics checks that a panic of a stream ends nothing but the stream.
func TestStreamPanics(t *testing.T) {
	h := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.Server{Listener: panicking{l}, Config: &http.Server{Handler: h.http.Handler}}
	server.Start()
	defer server.Close()
	c := h.signedIn("7")
	h.url = server.URL
	if resp, err := c.Get(h.url + "/v1/me/events"); err == nil {
		resp.Body.Close()
		t.Error("the stream is served")
	}
	wait.Until(t, func() bool { return h.Desks("7") == 0 }, "the stream is still there")
	if resp, _ := h.ask(c, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("after the panic: %d", resp.StatusCode)
	}
}
