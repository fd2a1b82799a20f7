package hooks

import (
	"time"

	"ringhook/web"
)

// SetSend has a hook's requests go to send instead of over the network.
func (d *Dispatcher) SetSend(hook string, send func(*web.Request, time.Time) (*web.Response, error)) {
	d.senders[hook].send = send
}
