package hooks

import (
	"time"

	"ringhook/httpclient"
)

// SetSend has a hook's requests go to send instead of over the network.
func (d *Dispatcher) SetSend(hook string, send func(*httpclient.Request, time.Time) (*httpclient.Response, error)) {
	d.senders[hook].send = send
}
