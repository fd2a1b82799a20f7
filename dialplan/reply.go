package dialplan

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

var (
	errCountry = errors.New("country is not the code of a country: two capital letters such as RU are expected")
	errCharset = errors.New("charset is unknown: a name such as windows-1251, windows-1255, iso-8859-8 or koi8-r is expected")
)

// refuse answers ERROR to an invalid request.
func (p *pointSession) refuse(err error) string {
	p.traced.err = err.Error()
	kind := err.Error()
	if m := (*mistake)(nil); errors.As(err, &m) {
		kind = m.kind // what a call brings may differ each time
		if _, known := specs[Point(p.session.Env().Point)]; known {
			kind += " " + p.session.Env().Point
		}
	}
	p.report(slog.LevelWarn, kind, "request rejected: fix the dialplan", "err", err)
	return p.reply(nil, replyError)
}

// unsafe answers a session whose event may be lost.
func (p *pointSession) unsafe(vars []fastagi.Variable, err error) string {
	p.traced.err = "event not kept: " + err.Error()
	// If the status is missing, the dialplan can ask another server.
	p.report(slog.LevelError, "", "event not kept, RINGHOOK_STATUS is not set", "err", err)
	return p.reply(vars, replyNone)
}

// reply sets the variables, and the status last.
func (p *pointSession) reply(vars []fastagi.Variable, status string) string {
	if status != replyNone {
		vars = append(vars, fastagi.Variable{Name: statusVariable, Value: status})
	}
	shortened, err := p.session.Reply(vars)
	p.traced.set = vars
	for _, name := range shortened {
		p.metrics.refused.WithLabelValues(p.settings.label(name), "cut").Inc()
		p.report(slog.LevelWarn, name, "value shortened to what Asterisk takes", "variable", name)
	}
	if err != nil && !errors.Is(err, fastagi.ErrHangup) {
		p.traced.err = cmp.Or(p.traced.err, "answer not taken by Asterisk: "+err.Error())
		p.report(slog.LevelWarn, "", "answer not taken by Asterisk", "err", err)
	}
	return status
}

// note records an answered session in the metrics, the trace and the log.
func (p *pointSession) note(status string) {
	took := time.Since(p.session.Started())
	if replied := p.session.Replied(); !replied.IsZero() {
		took = replied.Sub(p.session.Started()) // the call no longer waits for what Asterisk sends after the reply
	}
	p.metrics.session(Point(p.session.Env().Point), status, took)
	p.record(status, took)
	if p.Dialplan.log.Enabled(context.Background(), slog.LevelDebug) {
		p.Dialplan.log.Debug("point answered", p.about("status", status, "took", took, "callerid_kind", p.kind)...)
	}
}

// about adds the attributes that name the point and its channel.
func (p *pointSession) about(args ...any) []any {
	env := p.session.Env()
	all := []any{"point", cut(env.Point, 64), "channel", cut(p.channelName(), 128), "uniqueid", cut(env.UniqueID, 64)}
	if p.request != nil {
		all = append(all, "linkedid", cut(p.request.linkedid(), 64))
	}
	return append(all, args...)
}

// report logs a line with a limited rate, because every call can cause it. key distinguishes lines of
// the same message.
func (p *pointSession) report(level slog.Level, key, msg string, args ...any) {
	p.limited.Log(level, msg+"\x00"+cut(key, 200), msg, p.about(args...)...)
}

// Status returns the RINGHOOK_STATUS that a lookup's outcome sets: FOUND, NOTFOUND, STALE, TIMEOUT or ERROR.
func Status(o lookup.Outcome) string { return statuses[o] }

var statuses = map[lookup.Outcome]string{
	lookup.Found: replyFound, lookup.Missing: replyNotFound, lookup.Stale: replyStale,
	lookup.Timeout: replyTimeout, lookup.Failed: replyError,
}
