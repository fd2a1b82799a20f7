package command

import (
	"encoding/json"
	"fmt"
	"html"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// sampleCRM is the CRM of the demo: one URL that knows the caller, and one that
// receives events.
type sampleCRM struct {
	server *fasthttp.Server
	listen net.Listener
	events chan demoEvent
	ended  chan error
}

// demoEvent is what the demo shows of an event.
type demoEvent struct {
	Seq        int    `json:"seq"`
	Final      bool   `json:"final"`
	Event      string `json:"event"`
	CallerID   string `json:"callerid"`
	CallerName string `json:"callerid_name"`
	Queue      string `json:"queue_name"`
	Agent      string `json:"agent_name"`
	Status     string `json:"status"`
	WaitTime   *int   `json:"wait_time"`
	RingTime   *int   `json:"ring_time"`
	TalkTime   *int   `json:"talk_time"`
}

// String is the event on one line.
func (e demoEvent) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%2d  %-14s", e.Seq, e.Event)
	for _, f := range [][2]string{{"caller", e.CallerName}, {"queue", e.Queue}, {"agent", e.Agent}, {"status", e.Status}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "  %s %s", f[0], f[1])
		}
	}
	for _, f := range []struct {
		name  string
		value *int
	}{{"waited", e.WaitTime}, {"rang", e.RingTime}, {"talked", e.TalkTime}} {
		if f.value != nil {
			fmt.Fprintf(&b, "  %s %d s", f.name, *f.value)
		}
	}
	if e.Final {
		b.WriteString("  (final)")
	}
	return b.String()
}

func startSampleCRM() (*sampleCRM, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &sampleCRM{listen: l, events: make(chan demoEvent, 1024), ended: make(chan error, 1)}
	c.server = &fasthttp.Server{Name: "sample CRM", Handler: c.handle, ReadTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, CloseOnShutdown: true}
	go func() { c.ended <- c.server.Serve(l) }()
	return c, nil
}

func (c *sampleCRM) url() string { return "http://" + c.listen.Addr().String() }

func (c *sampleCRM) stop() error {
	if err := c.server.Shutdown(); err != nil {
		return fmt.Errorf("stop the sample CRM: %w", err)
	}
	return <-c.ended
}

func (c *sampleCRM) handle(r *fasthttp.RequestCtx) {
	switch string(r.Path()) {
	case "/who":
		if string(r.QueryArgs().Peek("phone")) != demoCaller {
			r.SetStatusCode(fasthttp.StatusNotFound)
			return
		}
		r.SetContentType("application/x-www-form-urlencoded")
		r.SetBodyString("CALLERID(name)=Zo%C3%AB+M%C3%BCller&QUEUE_PRIO=10&call_info=customer+4711%2C+contract+gold&customer_id=4711")
	case "/cti":
		var ev demoEvent
		if err := json.Unmarshal(r.PostBody(), &ev); err != nil {
			r.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		select {
		case c.events <- ev:
		default: // the call is over, and events are not read any more
		}
	case "/card":
		phone, name := html.EscapeString(string(r.QueryArgs().Peek("phone"))), html.EscapeString(string(r.QueryArgs().Peek("name")))
		r.SetContentType("text/html; charset=utf-8")
		fmt.Fprintf(r, `<!doctype html><title>Sample CRM</title><style>body{font:16px system-ui;margin:32px}td{padding:6px 24px 6px 0}</style>
<h1>%s</h1><table><tr><td>Customer<td>4711<tr><td>Phone<td>%s<tr><td>Contract<td>gold</table><p>This page is the sample CRM's.`, name, phone)
	default:
		r.SetStatusCode(fasthttp.StatusNotFound)
	}
}
