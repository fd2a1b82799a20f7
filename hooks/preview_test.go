package hooks

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
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
	p, a, _, err := Try([]Config{c}, Shared{}, ev, c.Name, slog.New(slog.DiscardHandler))
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

// TestShownAccount checks that a preview shows the token of an account or of oauth2 for the hook's own server only.
func TestShownAccount(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"(account zoho)": func(c *Config) { c.Account = "zoho" },
		"Authorization": func(c *Config) {
			c.OAuth2 = httpclient.OAuth2{TokenURL: "https://crm.example/token", ClientID: "ringhook", ClientSecret: "s3cret-1"}
		},
	} {
		h := testHook(t, func(c *Config) {
			change(c)
			c.URL, c.On = Addresses{"https://crm.example/"}, map[string]Variant{"queue-dial": {URL: "https://other.example/"}}
		})
		for event, want := range map[string]bool{"queue-dial": false, "agent-hangup": true} {
			p, err := h.preview(&Event{ID: "msg_1", Name: event}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.ContainsFunc(p.Headers, func(header [2]string) bool { return header[0] == name }); got != want {
				t.Errorf("%s: %s is shown: %t", event, name, got)
			}
		}
	}
}
