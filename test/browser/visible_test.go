package browser

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// watch notes in the page when each caller's name is on the card and painted: a timeout that a frame's callback sets runs
// after that frame. Times are milliseconds since 1970.
const watch = `(() => {
  window.seen = {};
  new MutationObserver(() => {
    const name = document.querySelector("#call h1")?.textContent;
    if (name && !(name in window.seen)) {
      window.seen[name] = 0;
      requestAnimationFrame(() => setTimeout(() => window.seen[name] = performance.timeOrigin + performance.now()));
    }
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
})()`

// BenchmarkVisible plays calls at 20 a second for 200 agents who are signed in, one of them in Chromium, and reports the
// time from the beginning of the point's session to the caller's name being painted.
func BenchmarkVisible(b *testing.B) {
	const agents, rate, calls = 200, 20, 1000
	var tables strings.Builder
	for n := range agents - 2 {
		fmt.Fprintf(&tables, "[[agent]]\nid = \"%d\"\nphone = \"%d\"\n", 1000+n, 1000+n)
	}
	d := start(b, "frame", "", tables.String())
	d.configure("[desk]\n", "[desk]\nproxies = [\"127.0.0.0/8\"]\nproxy_user_header = \"X-Remote-User\"\n")
	ctx := browser(b)
	d.signIn(ctx, "7")
	eval(b, ctx, watch)
	at := strings.TrimPrefix(d.url, "http://")
	for n := range agents - 2 {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/me/events HTTP/1.1\r\nHost: %s\r\nX-Remote-User: %d\r\n\r\n", at, 1000+n)
		lines := bufio.NewReader(conn)
		for line := ""; !strings.HasPrefix(line, "event: hello"); {
			if line, err = lines.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
		go io.Copy(io.Discard, lines) //nolint:errcheck // it ends with the connection
	}
	point := func(point, call, phone, name string) {
		conn, err := net.Dial("tcp", d.agi)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "agi_network_script: %s\nagi_channel: PJSIP/trunk-%s\nagi_uniqueid: %s\nagi_callerid: 02079460142\nagi_calleridname: %s\nagi_threadid: 1\n",
			point, call, call, name)
		// All that the points would read, so that nothing is asked back.
		for n, argument := range []string{
			"linkedid=" + call, "agent_phone=" + phone, "visit=", "ring=", "status=", "answered_time=", "queue_status=", "wait_time=", "queue_position=",
			"billsec=", "recording_file=", "cause=", "abandoned=", "connected=",
		} {
			fmt.Fprintf(conn, "agi_arg_%d: %s\n", n+1, argument)
		}
		fmt.Fprintln(conn)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			fmt.Fprintln(conn, "200 result=1")
		}
	}
	began := map[string]time.Time{}
	var ending sync.WaitGroup
	defer ending.Wait()
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := range calls {
		<-tick.C
		call, phone, name := fmt.Sprintf("pbx-%d.%d", time.Now().Unix(), n), fmt.Sprint(1000+n%(agents-2)), fmt.Sprintf("Caller %d", n)
		if n%10 == 0 {
			phone, began[name] = "101", time.Now()
		}
		point("agent-dial", call, phone, name)
		ending.Go(func() {
			time.Sleep(300 * time.Millisecond)
			point("call-hangup", call, phone, name)
		})
	}
	becomes(b, ctx, fmt.Sprintf("Object.values(seen).filter((at) => at > 0).length === %d", len(began)))
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]float64]("seen"))
	if err != nil {
		b.Fatal(err)
	}
	var took []float64
	for name, start := range began {
		took = append(took, seen[name]-float64(start.UnixMicro())/1000)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms-p50")
	b.ReportMetric(took[len(took)*99/100], "ms-p99")
	b.ReportMetric(0, "ns/op")
}
