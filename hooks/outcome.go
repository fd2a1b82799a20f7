package hooks

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ringhook/httpclient"
)

// The classes of an attempt, as the outbox keeps them.
const (
	classDelivered = "delivered"
	classRedirect  = "redirect" // never followed
	classGone      = "gone"     // 410: the receiver wants no more events
	classRejected  = "rejected" // another 4xx
	classLimited   = "limited"  // 429
	classServer    = "server"   // 5xx
	classTimeout   = "timeout"
	classConnect   = "connect"
	classDNS       = "dns"
	classBlocked   = "blocked" // the receiver's address is never connected to
	classTLS       = "tls"
	classProtocol  = "protocol"  // the response is not HTTP, or too large
	classRefused   = "refused"   // 2xx, and the answer says that the event was not taken
	classNeeds     = "needs"     // unsent: no earlier answer of the call had a value that it needs
	classRecording = "recording" // unsent: the recording is not complete, or cannot be sent
	classPoison    = "poison"    // the event cannot be rendered, or crashes ringhook over and over
)

// The classes of failures that are not the receiver's.
const (
	Crash  = "crash" // ringhook crashed during the attempt
	Poison = classPoison
	// Removed is the class of deliveries for a hook that is no longer configured.
	Removed = "removed"
)

// metricOutcomes are the outcomes of the metric: rejected is a refusal, failed is
// everything that may succeed next time.
var metricOutcomes = map[string]string{
	classDelivered: "delivered",
	classRedirect:  "rejected", classGone: "rejected", classRejected: "rejected", classLimited: "rejected", classRefused: "rejected",
	classTimeout: "timeout",
	classServer:  "failed", classConnect: "failed", classDNS: "failed", classBlocked: "failed", classTLS: "failed", classProtocol: "failed",
	classPoison: "failed",
}

// excerptSize is the maximum size of the stored part of an answer, in bytes.
const excerptSize = 2 << 10

// outcome is how one attempt ended.
type outcome struct {
	class      string
	status     int
	text       string        // the answer or the error, whole and with its secrets
	overload   bool          // the receiver has too much to do: its Retry-After holds for the whole hook
	skew       time.Duration // of the receiver's clock against ours, if its answer has a Date
	retryAfter time.Duration
	final      bool              // a further attempt cannot succeed
	values     map[string]string // to remember for later deliveries of the call
	unread     error             // why nothing of the answer can be remembered
	unsent     bool              // no request was made to the receiver
}

// unsentClasses are the classes of attempts at which nothing was sent, because something is missing that the receiver has
// nothing to do with.
var unsentClasses = map[string]bool{classNeeds: true, classRecording: true}

// used reports whether a request was made, which counts for the rate of the account.
func (o *outcome) used() bool { return o.class != "" && !unsentClasses[o.class] && !o.unsent }

// outcomeOf classifies a response or an error.
func outcomeOf(resp *httpclient.Response, err error, now time.Time) outcome {
	var failure *httpclient.Error
	if errors.As(err, &failure) && failure.Class == httpclient.ClassTooLarge && failure.Status != 0 {
		// The status is known; only the body was too large.
		resp, err = &httpclient.Response{Status: failure.Status, Body: []byte(err.Error())}, nil
	}
	if err != nil {
		return outcome{class: errorClass(err), text: err.Error(), unsent: failure != nil && !failure.Sent}
	}
	o := outcome{class: statusClass(resp.Status), status: resp.Status, text: string(resp.Body)}
	switch resp.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		o.overload = true
	}
	if at, err := http.ParseTime(resp.Date); err == nil {
		o.skew = at.Sub(now)
	}
	if o.class == classRedirect && resp.Location != "" {
		o.text = "redirect to " + resp.Location + ", which is not followed\n" + o.text
	}
	if o.class != classDelivered {
		o.retryAfter = parseRetryAfter(resp.RetryAfter, now)
	}
	return o
}

// read takes into account what the configuration says about answers.
func (r *request) read(o *outcome, resp *httpclient.Response) {
	c := r.hook.cfg
	if o.class == classDelivered {
		if i := slices.IndexFunc(c.Refused, func(text string) bool { return strings.Contains(o.text, text) }); i >= 0 {
			o.class, o.text = classRefused, "refused: the answer has "+strconv.Quote(c.Refused[i])+"\n"+o.text
			return
		}
	}
	switch {
	case o.class == classDelivered && r.reply != nil:
		answer := r.reply.Read(nil, "")
		if resp != nil { // nil if the body was too large
			answer = r.reply.Read(resp.Body, resp.ContentType)
		}
		o.unread = answer.Unread
		if o.values = answer.Values; !answer.Taken {
			o.class, o.values, o.text = classRefused, nil, answer.Why+"\n"+o.text
		}
	case o.class != classRejected && o.class != classServer:
	case c.isKnown(o):
		o.class = classDelivered
	case o.class == classRejected:
		o.final = slices.Contains(c.Final, o.status)
	}
}

// isKnown reports whether a refusal says that the receiver has the event already.
func (c *Config) isKnown(o *outcome) bool {
	text, listed := c.Known[strconv.Itoa(o.status)]
	return listed && strings.Contains(o.text, text)
}

func statusClass(status int) string {
	switch {
	case status == http.StatusGone:
		return classGone
	case status == http.StatusTooManyRequests:
		return classLimited
	case status >= 200 && status <= 299:
		return classDelivered
	case status >= 300 && status <= 399:
		return classRedirect
	case status >= 400 && status <= 499:
		return classRejected
	case status >= 500 && status <= 599:
		return classServer
	}
	return classProtocol
}

func errorClass(err error) string {
	var e *httpclient.Error
	if !errors.As(err, &e) {
		return classProtocol
	}
	switch e.Class {
	case httpclient.ClassTimeout:
		return classTimeout
	case httpclient.ClassDNS:
		return classDNS
	case httpclient.ClassBlocked:
		return classBlocked
	case httpclient.ClassTLS:
		return classTLS
	case httpclient.ClassConnect, httpclient.ClassReset, httpclient.ClassBusy:
		return classConnect
	case httpclient.ClassToken:
		// The token endpoint refused, not the receiver.
		if class := statusClass(e.Status); class == classServer || class == classLimited {
			return class
		}
		return classRejected
	}
	return classProtocol
}

// Cause returns in a few words why the attempt failed, such as "connection refused" or "status 503". It has no word of the
// receiver's answer.
func (a *Attempt) Cause() string {
	if a.Status != 0 && statusClass(a.Status) != classDelivered || a.Class == classDelivered {
		return "status " + strconv.Itoa(a.Status)
	}
	line, _, _ := strings.Cut(a.Excerpt, "\n")
	if at := strings.LastIndex(line, ": "); at >= 0 {
		line = line[at+2:]
	}
	return cmp.Or(line, a.Class)
}

// cutExcerpt cuts a text to excerptSize, at a rune.
func cutExcerpt(s string) string {
	s = s[:min(len(s), excerptSize)]
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

const (
	// crashesToGiveUp is the number of crashes after which a delivery is dead.
	crashesToGiveUp = 3
	// crashPause is the time from a crash to the next attempt. Other deliveries continue,
	// and ringhook does not reach the start limit of systemd.
	crashPause = time.Minute
)

// AfterCrash returns the result of an attempt at a time at, during which ringhook crashed, for a delivery with as many crashes
// before. After the third crash the delivery is dead with class Poison.
func AfterCrash(delivery int64, before int, at, now time.Time, why string) Result {
	r := Result{
		Delivery: delivery, State: Pending, Next: now.Add(crashPause),
		Attempt: Attempt{Started: at, Class: Crash, Excerpt: why},
	}
	if before+1 >= crashesToGiveUp {
		r.State, r.Attempt.Class = Dead, Poison
	}
	return r
}
