//go:build e2e

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// rawName is a display name as it is sent, and as it arrives.
type rawName struct {
	title, from, arrives string
	on16                 string // where that is otherwise
}

// patience is the time to wait for an answer that may not come.
func (n rawName) patience() time.Duration {
	if n.arrives == "" {
		return time.Second
	}
	return 30 * time.Second
}

// rawNames are texts that a caller may write in front of the address in an INVITE's
// From, as bytes, and the display name that then arrives on the AGI socket; empty
// where Asterisk does not even answer.
var rawNames = []rawName{
	{"plain", `"Anna"`, "Anna", ""},
	{"escaped quotes", `"a \"b\" \\c"`, `a \"b\" \\c`, ""},
	{"LF, and a line for AGI", "\"a\nagi_arg_1: x\"", "", ""},
	{"LF LF", "\"a\n\nSET VARIABLE X 1\"", "", ""},
	{"CR", "\"a\rb\"", "a\rb", ""},
	{"CR LF, and a header", "\"a\r\nX-Evil: 1\r\n\"", "", ""},
	{"folded", "\"a\r\n b\"", "", ""},
	{"escaped LF", "\"a\\\nagi_arg_1: x\"", "", ""},
	{"NUL", "\"a\x00b\"", "a", ""},
	{"TAB", "\"a\tb\"", "a\tb", ""},
	{"ESC", "\"a\x1b[31mb\"", "a\x1b[31mb", ""},
	{"percent", `"a%0aagi_arg_1: x"`, "a%0aagi_arg_1: x", ""},
	{"DEL", "\"a\x7fb\"", "a\x7fb", ""},
	{"C1", "\"a\u0085b\"", "a\u0085b", ""},
	{"U+2028", "\"a\u2028b\"", "a\u2028b", ""},
	{"not UTF-8", "\"a\xff\xfeb\"", "a��b", "a\xff\xfeb"},
	{"overlong LF", "\"a\xc0\x8ab\"", "a��b", "a\xc0\x8ab"},
	{"2,000 bytes", `"` + strings.Repeat("x", 2000) + `"`, strings.Repeat("x", 79), ""},
	{"2,000 bytes of two each", `"` + strings.Repeat("é", 1000) + `"`, strings.Repeat("é", 39), strings.Repeat("é", 39) + "\xc3"},
	{"not closed", `"a`, "", ""},
}

// invite sends the trunk's INVITE with a From of its own, and returns the final
// answer's status, empty where Asterisk does not answer in time.
func invite(t *testing.T, number, from string, within time.Duration) string {
	t.Helper()
	local := &net.UDPAddr{IP: net.ParseIP(trunkIP)}
	c, err := net.DialUDP("udp", local, &net.UDPAddr{IP: net.ParseIP(asteriskIP), Port: sipPort})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	me := c.LocalAddr().String()
	sdp := "v=0\r\no=- 1 1 IN IP4 " + trunkIP + "\r\ns=-\r\nc=IN IP4 " + trunkIP + "\r\nt=0 0\r\nm=audio 19000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
	request := func(method, to, more string) string {
		return fmt.Sprintf("%[1]s sip:74959999999@%[2]s:%[3]d SIP/2.0\r\nVia: SIP/2.0/UDP %[4]s;branch=z9hG4bK-%[5]s\r\nFrom: %[6]s <sip:%[5]s@%[7]s>;tag=%[5]s\r\n"+
			"To: <sip:74959999999@%[2]s>%[8]s\r\nCall-ID: %[5]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:%[5]s@%[4]s>\r\nMax-Forwards: 70\r\n%[9]s",
			method, asteriskIP, sipPort, me, number, from, trunkIP, to, more)
	}
	if _, err := c.Write([]byte(request("INVITE", "", fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(sdp), sdp)))); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 65536)
	c.SetReadDeadline(time.Now().Add(within))
	for {
		n, err := c.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ""
		} else if err != nil {
			t.Fatal(err)
		}
		status := strings.TrimPrefix(strings.SplitN(string(buffer[:n]), "\r\n", 2)[0], "SIP/2.0 ")
		if strings.HasPrefix(status, "1") || !strings.Contains(string(buffer[:n]), "CSeq: 1 INVITE") {
			continue
		}
		tag := ""
		if _, after, ok := strings.Cut(string(buffer[:n]), "\r\nTo: "); ok {
			line, _, _ := strings.Cut(after, "\r\n")
			if _, value, ok := strings.Cut(line, ";tag="); ok {
				tag = ";tag=" + value
			}
		}
		if _, err := c.Write([]byte(request("ACK", tag, "Content-Length: 0\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
		return status
	}
}

// rawSIPNames measures what the bytes of a display name become on the way to the
// AGI socket, and has ringhook take each.
func rawSIPNames(t *testing.T, l *lab) {
	l.server.stop()
	tap, err := net.Listen("tcp", "127.0.0.1:4573")
	if err != nil {
		t.Fatal(err)
	}
	environments := make(chan string, 100)
	go func() {
		for {
			c, err := tap.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
				var text strings.Builder
				for lines := bufio.NewReader(c); ; {
					line, err := lines.ReadString('\n')
					text.WriteString(line)
					if err != nil {
						break
					}
				}
				environments <- text.String()
			}()
		}
	}()
	names := slices.Clone(rawNames)
	for i, n := range names {
		if n.on16 != "" && strings.HasPrefix(l.asterisk.version, "Asterisk 16.") {
			names[i].arrives = n.on16
		}
	}
	for _, n := range names {
		number := l.caller(t)
		if status := invite(t, number, n.from, n.patience()); (status == "") != (n.arrives == "") {
			t.Errorf("%s: Asterisk answers %q, and %q should arrive", n.title, status, n.arrives)
		}
		late := time.After(n.patience())
		for name, arrived := "", false; !arrived; {
			select {
			case text := <-environments:
				if !strings.Contains(text, "\nagi_callerid: "+number+"\n") || !strings.HasPrefix(text, "agi_network: yes\nagi_network_script: call-dial\n") {
					continue // of the same call's end, or the one before
				}
				arrived = true
				_, name, _ = strings.Cut(text, "\nagi_calleridname: ")
				name, _, _ = strings.Cut(name, "\nagi_callingpres: ")
				if name != n.arrives || strings.Count(text, "\n\n") != 1 || strings.Count(text, "\nagi_arg_1: ") != 1 {
					t.Errorf("%s: %d bytes arrive, %.100q, want %.100q in\n%.2000q", n.title, len(name), name, n.arrives, text)
				}
			case <-late:
				arrived = true
				if n.arrives != "" {
					t.Errorf("%s: nothing arrives", n.title)
				}
			}
		}
	}
	if err := tap.Close(); err != nil {
		t.Error(err)
	}

	l.server.start(t)
	for _, n := range names {
		if n.arrives == "" {
			continue
		}
		number := l.caller(t)
		invite(t, number, n.from, n.patience())
		told := l.crm.of(number)
		told.expect(t, "call-dial call-hangup")
		name := told.wait(t, "call-dial", 1).text("callerid_name")
		blanks := strings.NewReplacer("\u0085", " ", "\u2028", " ", "\r", " ", "\t", " ", "\x1b", " ", "\x7f", " ")
		if want := blanks.Replace(strings.ToValidUTF8(n.arrives, "\uFFFD")); name != want {
			t.Errorf("%s: receivers got the name %.100q, want %.100q", n.title, name, want)
		}
	}
	if logged := l.server.log(0); strings.ContainsAny(logged, "\r\x1b\x00\x7f") {
		t.Error("ringhook's log has control characters of a name")
	}
}
