package lookup

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/lookup/answer"
)

// hijack returns a handler that writes to the bare connection.
func hijack(f func(c net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		f(c)
	}
}

func page(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, body)
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func zipped(body []byte) http.HandlerFunc {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body)
	z.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(b.Bytes())
	}
}

func pour(head, s string) http.HandlerFunc {
	return hijack(func(c net.Conn) {
		io.WriteString(c, head)
		for {
			if _, err := io.WriteString(c, s); err != nil {
				return
			}
		}
	})
}

func drip(head, s string) http.HandlerFunc {
	return hijack(func(c net.Conn) {
		io.WriteString(c, head)
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			if _, err := io.WriteString(c, s); err != nil {
				tick.Stop()
				return
			}
		}
	})
}

// TestBrokenCRM checks that an invalid answer sets no variable, is counted with its reason, and does not
// delay the call (T-CRM-03, F3 to F6).
func TestBrokenCRM(t *testing.T) {
	cases := []struct {
		name    string
		handler http.HandlerFunc
		outcome Outcome
		reason  string
	}{
		{"login page", page("text/html", "<html><form action=?a=b>"), Failed, answer.ReasonHTML},
		{"page without a doctype", page("text/html; charset=utf-8", "Please <a href=/?x=y>log in</a>"), Failed, answer.ReasonHTML},
		{"page that says it is text", page("text/plain", "\xef\xbb\xbf\n<!DOCTYPE html><p>name=Anna"), Failed, answer.ReasonHTML},
		{"warning of PHP", page("text/html", "<br />\n<b>Warning</b>: x in /srv/who.php\nname=Anna"), Failed, answer.ReasonHTML},
		{"error in plain text", page("text/plain", "Too many connections"), Failed, answer.ReasonSyntax},
		{"error with an equals sign", page("text/plain", "SQL error near WHERE phone='1'"), Failed, answer.ReasonSyntax},
		{"JSON", page("application/json", `{"name":"a=b"}`), Failed, answer.ReasonSyntax},
		{"windows-1251", answers("name=\xc0\xed\xed\xe0"), Failed, answer.ReasonCharset},
		{"half of UTF-16", answers("\xff\xfen\x00=\x00\x10"), Failed, answer.ReasonCharset},
		{"unknown charset", page("text/plain; charset=martian", "name=Anna"), Failed, answer.ReasonCharset},
		{"bytes", answers("\x00\x01\x02\x03"), Failed, answer.ReasonSyntax},
		{"500", status(500, "name=Anna"), Failed, reasonStatus},
		{"503", status(503, ""), Failed, reasonStatus},
		{"401", status(401, "name=Anna"), Failed, reasonStatus},
		{"400", status(400, "name=Anna"), Failed, reasonStatus},
		{"304", status(304, ""), Failed, reasonStatus},
		{"redirect to itself", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), 302) }, Failed, reasonStatus},
		{"redirect elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://other.example/", 301) }, Failed, reasonStatus},
		{"silent", hijack(func(c net.Conn) { io.Copy(io.Discard, c) }), Timeout, "timeout"},
		{"drips", drip("HTTP/1.1 200 OK\r\n\r\nname=", "A"), Timeout, "timeout"},
		{"closes", hijack(func(net.Conn) {}), Failed, "reset"},
		{"resets", hijack(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), Failed, "reset"},
		{"no HTTP", hijack(func(c net.Conn) { io.WriteString(c, "name=Anna\r\n\r\n") }), Failed, "protocol"},
		{"half a body", hijack(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nname=Anna")
		}), Failed, "protocol"},
		{"half a chunk", hijack(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nname=Anna\r\n")
		}), Failed, "protocol"},
		{"half a zip", hijack(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08")
		}), Failed, "protocol"},
		{"endless headers", pour("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"), Failed, "too_large"},
		{"endless body", pour("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("name=Anna&", 100)), Failed, "too_large"},
		{"64 MiB", hijack(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
			io.Copy(io.Discard, c)
		}), Failed, "too_large"},
		{"gzip bomb", zipped(make([]byte, 8<<20)), Failed, "too_large"},
		{"1,000 variables", answers(strings.Repeat("a=1&", 1000)), Failed, answer.ReasonLimit},
		{"a name of 300 bytes", answers(strings.Repeat("n", 300) + "=1"), Failed, answer.ReasonSyntax},
		{"two answers in one", answers("name=Anna&name=Boris"), Failed, answer.ReasonSyntax},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				tc.handler(w, r)
			})
			b := start(t, cfg)
			q := ask(anna)
			src := b.sources[0]
			r := fetch(src, &q, deadlineIn(fetchTime(tc.outcome)))
			if r.outcome != tc.outcome || r.fault == nil || r.fault.reason != tc.reason || r.vars != nil {
				t.Errorf("fetch = %s %v %v, want %s because of %s", r.outcome, r.vars, r.fault, tc.outcome, tc.reason)
			}
			if r.fault != nil && strings.Contains(r.fault.Error(), "Anna") {
				t.Errorf("the reason quotes the answer: %v", r.fault)
			}
			// Only a request without an answer is repeated, and only once.
			if n, want := requests.Load(), map[bool]int32{true: 2, false: 1}[tc.reason == "reset"]; n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
			if tc.outcome == Timeout {
				return
			}
			if got := await(b.Ask(q)); got.Outcome != tc.outcome || got.Vars != nil {
				t.Errorf("answer = %+v, want %s", got, tc.outcome)
			}
			if n := b.count(t, "ringhook_lookup_errors_total", "crm", tc.reason); n != 1 {
				t.Errorf("counted %v times, want once", n)
			}
			if len(b.cache.entries) != 0 {
				t.Error("a failure is in the cache")
			}
		})
	}
}

// fetch asks a source without its cache.
func fetch(s *source, q *Question, deadline time.Time) result {
	return s.ask(s.backend.prepare(q), deadline)
}

func deadlineIn(d time.Duration) time.Time { return time.Now().Add(d) }

// fetchTime returns the time for a request: short if only the deadline ends it.
func fetchTime(want Outcome) time.Duration {
	if want == Timeout {
		return 100 * time.Millisecond
	}
	return 30 * time.Second
}

// TestGoodCRM checks unusual but valid answers.
func TestGoodCRM(t *testing.T) {
	big := strings.Repeat("x", maxValue)
	for name, handler := range map[string]http.HandlerFunc{
		"byte order mark":        answers("\xef\xbb\xbfname=Anna&note=" + big),
		"blank lines":            answers("\n\nname=Anna&note=" + big + "\r\n"),
		"PHP's own content type": page("text/html; charset=UTF-8", "name=Anna&note="+big),
		"201":                    status(201, "name=Anna&note="+big),
		"gzip":                   zipped([]byte("name=Anna&note=" + big)),
		"until the connection ends": hijack(func(c net.Conn) {
			fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\nname=Anna&note=%s", big)
		}),
		"chunked": hijack(func(c net.Conn) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nname=Anna\r\n%x\r\n&note=%s\r\n0\r\n\r\n", len(big)+6, big)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, crm(t, handler))
			if got := await(b.Ask(ask(anna))); got.Outcome != Found || got.value("name") != "Anna" || got.value("note") != big {
				t.Errorf("answer = %.200v", got)
			}
		})
	}
}
