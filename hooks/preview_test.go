package hooks

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestShownIsSent checks that a preview shows the bytes that a receiver gets: all headers with their
// spelling, and on request the signature.
func TestShownIsSent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, text, length := bufio.NewReader(conn), "", 0
		for !strings.HasSuffix(text, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			text += line
			if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(value))
			}
		}
		body := make([]byte, length)
		io.ReadFull(r, body)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		got <- text + string(body)
	}()
	c := sample()
	c.URL = Addresses{"http://" + ln.Addr().String() + "/cti?token=hush-hush-1"}
	c.Secret, c.Headers = newSecret, map[string]string{"SOAPAction": `"x"`, "x-API-key": "hush-hush-2"}
	ev := &Event{ID: "msg_1", Name: "queue-dial", Time: time.Now(), Params: map[string]any{"callerid": "+4930123"}}
	p, a, _, err := Try([]Config{c}, ev, c.Name, slog.New(slog.DiscardHandler))
	if err != nil || a.Class != classDelivered {
		t.Fatalf("%+v, %v", a, err)
	}
	sent := <-got
	if string(p.Raw) != sent {
		t.Errorf("shown raw %q\nsent %q", string(p.Raw), sent)
	}
	head, _, _ := strings.Cut(sent, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")[1:]
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if i >= len(p.Headers) || p.Headers[i][0] != name {
			t.Fatalf("headers shown are %q, sent %q", p.Headers, lines)
		}
		if strings.Contains(p.Headers[i][1], "hush") || p.Headers[i][1] != value && p.Headers[i][1] != "***" {
			t.Errorf("%s is shown as %s", line, p.Headers[i][1])
		}
	}
	if !strings.Contains(sent, "\r\nSOAPAction: ") || !strings.Contains(sent, "\r\nwebhook-signature: v1,") || strings.Contains(p.URL, "hush") {
		t.Errorf("sent %q, URL is shown as %s", sent, p.URL)
	}
}
