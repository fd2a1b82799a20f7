package hooks

import (
	"strconv"
	"time"

	"ringhook/httpclient"
)

// AppendJSON appends the event as the outbox stores it: a JSON object with name, seq, final, time and params. ID and
// LinkedID are not part of it, because they have columns of their own.
func (ev *Event) AppendJSON(dst []byte) []byte {
	dst = httpclient.AppendJSON(append(dst, `{"name":`...), ev.Name)
	if ev.Seq != 0 {
		dst = strconv.AppendInt(append(dst, `,"seq":`...), int64(ev.Seq), 10)
	}
	if ev.Final {
		dst = append(dst, `,"final":true`...)
	}
	dst = ev.Time.AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano)
	dst = append(dst, `","params":{`...)
	first := true
	for name, value := range ev.Params {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(httpclient.AppendJSON(dst, name), ':')
		dst = appendJSON(dst, value)
	}
	return append(dst, "}}"...)
}
