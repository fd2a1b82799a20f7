package hooks

import (
	"time"

	"ringhook/httpclient"
)

// SetSend has a hook's requests go to send instead of over the network.
func (d *Dispatcher) SetSend(hook string, send func(*httpclient.Request, time.Time) (*httpclient.Response, error)) {
	d.senders[hook].send = send
}

// SameSender reports whether two dispatchers deliver for a hook through one sender.
func SameSender(a, b *Dispatcher, hook string) bool { return a.senders[hook] == b.senders[hook] }
