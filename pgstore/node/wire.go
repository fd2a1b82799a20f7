package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// notifyEvery is the minimum time between two messages: each one takes a lock that all of the engine's databases share.
	notifyEvery = 5 * time.Millisecond
	// listenEvery is the time between two attempts to listen.
	listenEvery = time.Second
	// longest is the maximum size of a message in bytes. The engine refuses 8,000.
	longest = 7000
)

// Wire carries messages between the nodes. A message may be lost: what it is about is also found within a second
// without one.
type Wire struct {
	channel string
	connect func(context.Context) (*pgx.Conn, error)
	heard   func(Message)
	pending chan struct{} // has the message sent

	mu   sync.Mutex
	next Message // guarded by mu
}

// Message says what has changed.
type Message struct {
	From  string   `json:"from"`            // the node
	Nodes bool     `json:"nodes,omitempty"` // nodes or leases
	All   bool     `json:"all,omitempty"`   // deliveries of any hook
	Hooks []string `json:"hooks,omitempty"` // deliveries of these hooks
}

// NewWire returns the wire of a node. heard is called for each message of another node, and with All when messages may have
// been lost; it must not wait.
func NewWire(self Self, tenant int, connect func(context.Context) (*pgx.Conn, error), heard func(Message)) *Wire {
	return &Wire{channel: fmt.Sprintf("ringhook_%d", tenant), connect: connect, heard: heard, pending: make(chan struct{}, 1), next: Message{From: self.Name}}
}

// NotifyNodes notifies the others that nodes or leases have changed. It does not wait.
func (w *Wire) NotifyNodes() { w.add(func(m *Message) { m.Nodes = true }) }

// NotifyHooks notifies the others that there are deliveries for hooks. It does not wait.
func (w *Wire) NotifyHooks(names []string) {
	w.add(func(m *Message) {
		for _, name := range names {
			if !slices.Contains(m.Hooks, name) {
				m.Hooks = append(m.Hooks, name)
			}
		}
	})
}

func (w *Wire) add(change func(*Message)) {
	w.mu.Lock()
	change(&w.next)
	w.mu.Unlock()
	select {
	case w.pending <- struct{}{}:
	default:
	}
}

func (w *Wire) take() Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.next
	w.next = Message{From: m.From}
	return m
}

// Run sends and receives until ctx ends.
func (w *Wire) Run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { w.send(ctx) })
	both.Go(func() { w.listen(ctx) })
}

// send sends messages. Its transactions do not wait for the disk or the standby.
func (w *Wire) send(ctx context.Context) {
	var conn *pgx.Conn
	for {
		select {
		case <-ctx.Done():
			closeConn(conn)
			return
		case <-w.pending:
		}
		var err error
		if conn == nil {
			if conn, err = w.connect(ctx); err == nil {
				_, err = conn.Exec(ctx, "set synchronous_commit = off")
			}
		}
		if err == nil {
			_, err = conn.Exec(ctx, "select pg_notify($1, $2)", w.channel, w.take().text())
		}
		if err != nil { // the others look by themselves, and the guard reports an engine that is away
			closeConn(conn)
			conn = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(notifyEvery):
		}
	}
}

func (m Message) text() string {
	text, err := json.Marshal(m)
	if err != nil || len(text) > longest {
		m.All, m.Hooks = true, nil
		text, _ = json.Marshal(m) // of a name there is no error
	}
	return string(text)
}

// listen receives messages.
func (w *Wire) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if conn, err := w.connect(ctx); err == nil {
			// The guard reports an engine that is away.
			_ = w.receive(ctx, conn)
			closeConn(conn)
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenEvery):
		}
	}
}

func (w *Wire) receive(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "listen "+w.channel); err != nil {
		return err
	}
	w.heard(Message{Nodes: true, All: true})
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var m Message
		if err := json.Unmarshal([]byte(n.Payload), &m); err != nil {
			m = Message{Nodes: true, All: true} // of a newer ringhook
		}
		if m.From != w.self() {
			w.heard(m)
		}
	}
}

func (w *Wire) self() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next.From
}

func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), listenEvery)
	defer cancel()
	// It may be broken; there is nothing more to do with it.
	_ = conn.Close(ctx)
}
