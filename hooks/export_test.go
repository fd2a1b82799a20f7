package hooks

import (
	"time"

	"ringhook/httpclient"
)

// SetSend replaces the network by send for the requests of a hook.
func (d *Dispatcher) SetSend(hook string, send func(*httpclient.Request, time.Time) (*httpclient.Response, error)) {
	d.senders[hook].send = send
}

// SameSender reports whether two dispatchers use the same sender for a hook.
func SameSender(a, b *Dispatcher, hook string) bool { return a.senders[hook] == b.senders[hook] }
