//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"ringhook/test/wait"
)

// deskPhone is an agent's phone with two lines and a transfer key: it answers a call, holds it, calls a colleague, and joins both
// by REFER with Replaces (RFC 5589, section 7), as desk phones do. A scenario of SIPp has one dialog, so it cannot.
type deskPhone struct {
	conn     *net.UDPConn
	ip       string
	requests chan sipMessage // those that begin something; the others are answered at once
	replies  chan sipMessage
}

// sipMessage is a request or a response.
type sipMessage struct {
	start  string // its first line
	header map[string]string
	body   string
}

// dialog is one call of the phone.
type dialog struct {
	callID, local, remote string // local and remote are the values of From and To, with tags
	target                string // of the other side's requests
	cseq                  int
}

// deskPhone begins a phone that answers the next call, and transfers it to a colleague after talk with each of them. The
// function that is returned waits until that is done.
func (l *lab) deskPhone(t *testing.T, name, colleague string, talk time.Duration) (done func()) {
	t.Helper()
	ip := l.asterisk.at(phoneIP(name))
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: sipPort})
	if err != nil {
		t.Fatal(err)
	}
	p := &deskPhone{conn: conn, ip: ip, requests: make(chan sipMessage, 16), replies: make(chan sipMessage, 64)}
	ctx, cancel := context.WithTimeout(t.Context(), wait.Limit)
	read, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(read)
		p.read()
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		result <- p.transfer(ctx, l.asterisk.at(asteriskIP), colleague, talk)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		conn.Close()
		<-read
	})
	return func() {
		t.Helper()
		if err := <-result; err != nil {
			t.Fatalf("phone %s: %v", name, err)
		}
	}
}

// read takes messages until the phone is closed.
func (p *deskPhone) read() {
	buf := make([]byte, 65536)
	for {
		n, from, err := p.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		head, body, _ := strings.Cut(string(buf[:n]), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		m := sipMessage{start: lines[0], header: map[string]string{}, body: body}
		for _, line := range lines[1:] {
			if name, value, ok := strings.Cut(line, ":"); ok {
				m.header[name] = strings.TrimSpace(value)
			}
		}
		switch method, _, _ := strings.Cut(m.start, " "); {
		case method == "SIP/2.0":
			p.replies <- m
		case method == "INVITE" && !strings.Contains(m.header["To"], "tag="):
			p.requests <- m
		case method == "INVITE": // Asterisk has something to say of the other side
			p.answer(from, m, "200 OK", "", p.media("sendrecv"))
		case method == "ACK":
		default:
			p.answer(from, m, "200 OK", "", "")
			p.requests <- m
		}
	}
}

func (p *deskPhone) media(direction string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 29998 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=%[2]s\r\n", p.ip, direction)
}

// send sends a message with the headers that every one of the phone's has.
func (p *deskPhone) send(to net.Addr, start, body string, header ...string) error {
	header = append(header, fmt.Sprintf("Contact: <sip:%s:%d>", p.ip, sipPort))
	if body != "" {
		header = append(header, "Content-Type: application/sdp")
	}
	_, err := p.conn.WriteTo(fmt.Appendf(nil, "%s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", start, strings.Join(header, "\r\n"), len(body), body), to)
	return err
}

// answer answers a request. A tag makes it the beginning of a dialog.
func (p *deskPhone) answer(to net.Addr, m sipMessage, status, tag, body string) error {
	return p.send(to, "SIP/2.0 "+status, body, "Via: "+m.header["Via"], "From: "+m.header["From"], "To: "+m.header["To"]+tag,
		"Call-ID: "+m.header["Call-ID"], "CSeq: "+m.header["CSeq"])
}

// ask sends a request of a dialog, again until it is answered, and returns the last answer.
func (p *deskPhone) ask(ctx context.Context, to net.Addr, d *dialog, method, body string, header ...string) (sipMessage, error) {
	d.cseq++
	cseq := fmt.Sprintf("%d %s", d.cseq, method)
	common := func(method, branch string) []string {
		return []string{fmt.Sprintf("Via: SIP/2.0/UDP %s:%d;branch=z9hG4bK-%s-%s", p.ip, sipPort, d.callID, branch), "Max-Forwards: 70",
			"From: " + d.local, "To: " + d.remote, "Call-ID: " + d.callID, fmt.Sprintf("CSeq: %d %s", d.cseq, method)}
	}
	send := func() error {
		return p.send(to, method+" "+d.target+" SIP/2.0", body, append(common(method, fmt.Sprint(d.cseq)), header...)...)
	}
	if err := send(); err != nil {
		return sipMessage{}, err
	}
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for answered := false; ; {
		select {
		case <-ctx.Done():
			return sipMessage{}, fmt.Errorf("%s is not answered: %w", method, context.Cause(ctx))
		case <-again.C:
			if !answered {
				if err := send(); err != nil {
					return sipMessage{}, err
				}
			}
		case m := <-p.replies:
			if m.header["Call-ID"] != d.callID || m.header["CSeq"] != cseq {
				continue // a repeat
			}
			answered = true
			status, _, _ := strings.Cut(strings.TrimPrefix(m.start, "SIP/2.0 "), " ")
			if status[0] == '1' {
				continue
			}
			if method == "INVITE" {
				d.remote, d.target = m.header["To"], address(m.header["Contact"])
				if err := p.send(to, "ACK "+d.target+" SIP/2.0", "", common("ACK", fmt.Sprint("ack-", d.cseq))...); err != nil {
					return m, err
				}
			}
			if status[0] != '2' {
				return m, fmt.Errorf("%s is answered %s", method, m.start)
			}
			return m, nil
		}
	}
}

// address returns what stands between angle brackets.
func address(header string) string {
	_, rest, _ := strings.Cut(header, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// tag returns that of a From or To header.
func tag(header string) string {
	_, rest, _ := strings.Cut(header, ";tag=")
	value, _, _ := strings.Cut(rest, ";")
	return value
}

// await waits for a request of the other side of a dialog that f accepts.
func (p *deskPhone) await(ctx context.Context, what string, f func(sipMessage) bool) (sipMessage, error) {
	for {
		select {
		case <-ctx.Done():
			return sipMessage{}, fmt.Errorf("%s does not come: %w", what, context.Cause(ctx))
		case m := <-p.requests:
			if f(m) {
				return m, nil
			}
		}
	}
}

func (p *deskPhone) transfer(ctx context.Context, asterisk, colleague string, talk time.Duration) error {
	to := &net.UDPAddr{IP: net.ParseIP(asterisk), Port: sipPort}
	invite, err := p.await(ctx, "a call", func(m sipMessage) bool { return strings.HasPrefix(m.start, "INVITE ") })
	if err != nil {
		return err
	}
	if err := errors.Join(p.answer(to, invite, "180 Ringing", ";tag=desk", ""), p.answer(to, invite, "200 OK", ";tag=desk", p.media("sendrecv"))); err != nil {
		return err
	}
	first := &dialog{callID: invite.header["Call-ID"], local: invite.header["To"] + ";tag=desk", remote: invite.header["From"], target: address(invite.header["Contact"])}
	if !sleep(ctx, talk) {
		return context.Cause(ctx)
	}
	if _, err := p.ask(ctx, to, first, "INVITE", p.media("sendonly")); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	second := &dialog{callID: "desk-" + first.callID, local: fmt.Sprintf("<sip:desk@%s>;tag=second", p.ip),
		remote: fmt.Sprintf("<sip:%s@%s>", colleague, asterisk), target: fmt.Sprintf("sip:%s@%s:%d", colleague, asterisk, sipPort)}
	if _, err := p.ask(ctx, to, second, "INVITE", p.media("sendrecv")); err != nil {
		return fmt.Errorf("call to %s: %w", colleague, err)
	}
	if !sleep(ctx, talk) {
		return context.Cause(ctx)
	}
	replaces := fmt.Sprintf("Refer-To: <sip:%s@%s?Replaces=%s%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s>", colleague, asterisk,
		strings.ReplaceAll(second.callID, "@", "%40"), tag(second.remote), tag(second.local))
	if _, err := p.ask(ctx, to, first, "REFER", "", replaces, "Referred-By: "+first.local); err != nil {
		return err
	}
	if _, err := p.await(ctx, "the outcome of the transfer", func(m sipMessage) bool {
		return strings.HasPrefix(m.start, "NOTIFY ") && strings.HasPrefix(m.body, "SIP/2.0 200")
	}); err != nil {
		return err
	}
	_, err = p.ask(ctx, to, first, "BYE", "")
	return err
}

// sleep waits, and reports whether the context went on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
