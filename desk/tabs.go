package desk

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	// maxTabs is the maximum number of streams of one agent, and of one supervisor.
	maxTabs = 8
	// maxPlain is the maximum number of streams of one browser over HTTP/1.1: browsers have six connections to a host, and
	// the other requests need some.
	maxPlain = 3
)

// tabs are the streams of one person's pages of one kind, the one that was focused or opened last first.
type tabs struct{ streams []*stream }

// plainSession returns the session of a browser over HTTP/1.1, empty for others.
func plainSession(r *http.Request, me *visitor) string {
	if r.ProtoMajor < 2 {
		return me.secret
	}
	return ""
}

func newStream(session string) *stream {
	return &stream{id: randomID(), session: session, out: make(chan []byte, streamRoom), gone: make(chan string, 1), check: make(chan struct{}, 1)}
}

// join registers a stream. If there are too many, those that were focused the longest time ago sleep. The caller holds
// d.mu.
func (d *Desk) join(t *tabs, s *stream) (status int) {
	switch {
	case d.closed, d.streams >= d.current.Load().Config.MaxStreams && len(t.streams) < maxTabs:
		d.metrics.dropped.WithLabelValues(dropFull).Inc()
		return http.StatusServiceUnavailable
	case len(t.streams) >= maxTabs:
		d.metrics.dropped.WithLabelValues(dropAgent).Inc()
		// It is no longer counted, also if its browser does not read the end.
		t.streams[len(t.streams)-1].end(byeSleep)
		t.streams = t.streams[:len(t.streams)-1]
		d.streams--
	}
	t.streams = append([]*stream{s}, t.streams...)
	d.streams++
	return http.StatusOK
}

// part removes a stream, and returns its place; -1 if it was removed before. The caller holds d.mu.
func (d *Desk) part(t *tabs, s *stream) (was int) {
	was = slices.Index(t.streams, s)
	if was >= 0 {
		t.streams = slices.Delete(t.streams, was, was+1)
		d.streams--
	}
	return was
}

// sleep ends streams of the browser of a new one that has too many over HTTP/1.1: first those of pages of supervisors, and
// of each kind those that were focused the longest time ago. The caller holds d.mu.
func (d *Desk) sleep(person string, opened *stream) {
	if opened.session == "" {
		return
	}
	n := 1
	for _, t := range d.tabsOf(person) {
		t.streams = slices.DeleteFunc(t.streams, func(s *stream) bool {
			if s == opened || s.session != opened.session {
				return false
			}
			if n++; n <= maxPlain {
				return false
			}
			s.end(byeSleep)
			d.streams--
			return true
		})
	}
}

// tabsOf returns the tabs of a person: as an agent, then as a supervisor. The caller holds d.mu.
func (d *Desk) tabsOf(person string) (list []*tabs) {
	if h := d.hubs[person]; h != nil {
		list = append(list, &h.tabs)
	}
	if h := d.lives[person]; h != nil {
		list = append(list, &h.tabs)
	}
	return list
}

// endTabs ends all streams of a person.
func (d *Desk) endTabs(person, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tabsOf(person) {
		for _, s := range t.streams {
			s.end(why)
		}
	}
}

// browser is the other end of a stream.
type browser interface {
	// send writes a text, and reports whether the browser took it in time.
	send(text []byte) bool
	// left is closed when the browser has closed the stream.
	left() <-chan struct{}
}

// carry writes a stream to a tab until the tab, its session or the server ends, and then calls leave. Over HTTP/1.1 it
// returns before that: a stream has its connection for itself there, and without the request, its buffers and the
// stack of the handlers it takes a fraction of the memory.
func (d *Desk) carry(w http.ResponseWriter, r *http.Request, me *visitor, s *stream, leave func()) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	d.carried.Add(1) // before Shutdown of the server no longer knows the connection
	if r.ProtoMajor == 1 && r.Method == http.MethodGet {
		if conn, _, err := control.Hijack(); err == nil {
			b := &plainBrowser{conn: conn, head: plainHead(header), closed: make(chan struct{})}
			path := r.URL.Path
			go b.listen()
			go func() {
				defer d.carried.Done()
				defer b.end()
				defer leave()
				defer d.catch(path)
				d.pump(b, me, s)
			}()
			return
		}
	}
	defer d.carried.Done()
	defer leave()
	_ = control.SetReadDeadline(time.Time{}) // HTTP/2 has none
	d.pump(&handledBrowser{w, control, r.Context()}, me, s)
}

// pump writes a stream to a browser, until the browser, its session or the server ends.
func (d *Desk) pump(to browser, me *visitor, s *stream) {
	if !to.send(fmt.Appendf(nil, "retry: %d\n\n", 1000+rand.IntN(2000))) {
		return
	}
	for _, message := range s.missed {
		if !to.send(message) {
			return
		}
	}
	s.missed = nil
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	age := time.NewTimer(streamAge - streamAge/20 + rand.N(streamAge/10))
	defer age.Stop()
	why := ""
	for why == "" {
		select {
		case message := <-s.out:
			if !to.send(message) {
				return
			}
		case <-s.check:
			if !d.valid(me) {
				why = byeSignedOut
			}
		case <-beat.C:
			if !d.valid(me) {
				why = byeSignedOut
			} else if !to.send([]byte("event: beat\ndata: {}\n\n")) {
				return
			}
		case why = <-s.gone:
		case <-age.C:
			why = byeAge
		case <-to.left():
			return
		}
	}
	if why == byeSleep {
		to.send([]byte("event: sleep\ndata: {\"v\":1,\"reason\":\"tabs\"}\n\n"))
		return
	}
	to.send(fmt.Appendf(nil, "event: bye\ndata: {\"v\":1,\"reason\":%q}\n\n", why)) // without an id: the browser keeps that of the last message
}

// handledBrowser is a browser whose connection the HTTP server keeps, as it must over HTTP/2.
type handledBrowser struct {
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context // of the request
}

func (b *handledBrowser) send(text []byte) bool {
	_ = b.control.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := b.w.Write(text)
	return err == nil && b.control.Flush() == nil
}

func (b *handledBrowser) left() <-chan struct{} { return b.ctx.Done() }

// plainBrowser is a browser whose connection is taken from the HTTP server, which the stream ends.
type plainBrowser struct {
	conn   net.Conn
	head   []byte // of the response, until it is sent
	closed chan struct{}
}

// plainHead returns the head of a response that ends with its connection.
func plainHead(header http.Header) []byte {
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

func (b *plainBrowser) send(text []byte) bool {
	_ = b.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if b.head != nil {
		text = append(b.head, text...)
		b.head = nil
	}
	_, err := b.conn.Write(text)
	return err == nil
}

func (b *plainBrowser) left() <-chan struct{} { return b.closed }

// listen reads until the browser closes the connection. A browser sends nothing more on it.
func (b *plainBrowser) listen() {
	defer close(b.closed)
	ignored := make([]byte, 64)
	for {
		if _, err := b.conn.Read(ignored); err != nil {
			return
		}
	}
}

// end closes the connection, and returns when nothing reads from it any more.
func (b *plainBrowser) end() {
	_ = b.conn.Close()
	<-b.closed
}
