package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"ringhook/control/campaign"
	"ringhook/control/switching"
	"ringhook/dialplan"
	"ringhook/store/desk"
)

const (
	// commandTime bounds a command.
	commandTime = 5 * time.Second
	// maxCommands is the maximum number of commands that run at once.
	maxCommands = 64
	// maxItems is the maximum number of queues or calls of one command.
	maxItems = 100
	// settleTime is the longest that a command waits until the live state shows what it did.
	settleTime = 500 * time.Millisecond
)

// partial is the outcome of a command of which a part was carried out.
const partial Code = "partial"

// Calls is what the dialplan knows of calls.
type Calls interface {
	// NoteEnd notes that a command takes a waiting caller out of a queue, so that the visit does not
	// count as abandoned. undo removes the note, because the command failed.
	NoteEnd(ctx context.Context, call dialplan.Identity, uniqueID, by string) (undo func(), err error)
	// Expect has parameters added to the events of a call that is about to begin.
	Expect(linkedid string, params map[string]string)
	// TraceCommand adds a command to the trace of a call.
	TraceCommand(p *dialplan.PointTrace)
}

// Store records commands, and what has to be known after a restart.
type Store interface {
	campaign.Store
	// Err returns why the store can never be used, nil if it can be tried.
	Err() error
	// Shared reports whether other nodes use the store too.
	Shared() bool
	// Hold makes a holder the only one of a name for a time, or extends that, and reports whether it is the only one.
	Hold(name, holder string, long time.Duration) (held bool, err error)
	Release(name, holder string) error
	AddCommand(c *desk.Command) error
	EndCommand(c *desk.Command) error
	CampaignCounts(id string) (states, results map[string]int, err error)
	ObserveStates(now []desk.AgentState, when time.Time) error
	CutStates(before time.Time) error
	AgentStates(agent string, from, to time.Time) ([]desk.AgentState, error)
	SetPauseEnds(ends ...desk.PauseEnd) error
	RemovePauseEnds(ends ...desk.PauseEnd) error
	PauseEnds() ([]desk.PauseEnd, error)
	AddExpected(e desk.Expected) error
	Expected(after time.Time) ([]desk.Expected, error)
	AddSIPAccount(a desk.SIPAccount, most int) (added bool, err error)
	SetSIPAccount(a desk.SIPAccount) (found bool, err error)
	RemoveSIPAccount(server, name string) (removed bool, err error)
	SIPAccounts() ([]desk.SIPAccount, error)
}

// Use sets the store that records commands and the calls whose traces have them, and starts the work in the background: ends
// of pauses, and the times of agents. It is called once, before the first command.
func (c *Control) Use(d Store, calls Calls) {
	c.desk, c.calls = d, calls
	ctx, cancel := context.WithCancel(context.Background())
	c.endWork, c.ending = cancel, ctx
	if d != nil {
		c.campaigns = campaign.New(d, c.clientOf, c.campaignSettings, c.log)
		c.expectAgain(desk.KeepExpected)
		c.duty.take(ctx, c, time.Now())
	}
	c.working.Go(func() { c.work(ctx) })
}

// campaignSettings returns the settings of campaigns now.
func (c *Control) campaignSettings() campaign.Settings {
	s := c.settings.Load()
	return campaign.Settings{Config: s.Campaign, Numbers: s.Reader, Dialled: s.numbers.Dialled}
}

// background runs what goes on after a command has answered, until Close.
func (c *Control) background(do func(ctx context.Context)) {
	if c.ending == nil || c.ending.Err() != nil {
		return
	}
	c.working.Go(func() { do(c.ending) })
}

// on is what a command acts on, as it is recorded. The command completes it.
type on struct {
	server, agent, queue string
	detail               any       // the other parameters
	calls                []touched // that it acts on
}

// touched is a call on which a command acts.
type touched struct {
	server, linkedID, uniqueID, channel string
	failed                              error // why nothing was done with it, if others of the command were not so
}

// outcomer is the result of a command of several parts.
type outcomer interface {
	outcome() string
	cause() error // of the parts that failed, for the log; nil for none
}

// run carries a command out: it bounds it in time and number, and records, counts, logs and traces it. The record is
// on disk before the command runs, so that a crash loses none that reached Asterisk. A command beyond the pace of its
// actor is only counted.
func run[T any](ctx context.Context, c *Control, who Actor, command string, in *on, do func(ctx context.Context) (T, error)) (result T, err error) {
	record := &desk.Command{At: time.Now(), Who: who.Name, Command: command, Detail: encoded(in.detail), Outcome: desk.CommandBegun}
	if !c.pace.allows(who, record.At) {
		c.commands.WithLabelValues(command, string(Busy)).Inc()
		return result, errorf(Busy, "%s sends too many commands: at most %d at once, then one every %v", who.Name, paceBurst, paceEvery)
	}
	if err = c.enter(who); err == nil {
		func() {
			defer c.leave(who)
			c.record(record, in)
			ctx, cancel := context.WithTimeout(ctx, commandTime)
			defer cancel()
			result, err = do(ctx)
		}()
	}
	failed := errorOf(err)
	outcome, text, cause := string(OK), "", error(nil)
	if failed != nil {
		outcome, text, cause = string(failed.Code), failed.Text, failed.Err
		err = failed
	} else if parts, ok := any(result).(outcomer); ok {
		outcome, cause = parts.outcome(), parts.cause()
	}
	record.Outcome, record.Result, record.Took = outcome, text, time.Since(record.At)
	if text == "" {
		record.Result = encoded(shown(result))
	}
	c.note(who, in, record, text, cause)
	return result, err
}

// enter reserves what a command needs to run, until leave, or returns why it cannot run now.
func (c *Control) enter(who Actor) error {
	if !c.pace.begin(who) {
		return errorf(Busy, "%d commands of %s run already", paceRunning, who.Name)
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
		c.pace.end(who)
		return errorf(Busy, "%d commands run already", maxCommands)
	}
}

// leave releases what enter reserved.
func (c *Control) leave(who Actor) {
	<-c.slots
	c.pace.end(who)
}

// shown returns what of a result is recorded: all of it, unless it holds a secret.
func shown(result any) any {
	if own, ok := result.(interface{ recorded() any }); ok {
		return own.recorded()
	}
	return result
}

// note counts, logs, traces and records what became of a command. text is why it was not carried out, cause what it or a
// part of it failed of.
func (c *Control) note(who Actor, in *on, record *desk.Command, text string, cause error) {
	command, outcome := record.Command, record.Outcome
	c.commands.WithLabelValues(command, outcome).Inc()
	if len(in.calls) == 1 {
		record.Call = cut(in.calls[0].linkedID)
	}
	args := []any{"command", command, "by", who.Name, "outcome", outcome, "took", record.Took.Round(time.Microsecond)}
	for _, a := range [][2]string{{"server", in.server}, {"agent", in.agent}, {"queue", in.queue}, {"linkedid", record.Call}} {
		if a[1] != "" {
			args = append(args, a[0], cut(a[1]))
		}
	}
	level := slog.LevelInfo
	if cause != nil {
		level = slog.LevelWarn
		args = append(args, "err", cause)
	}
	if outcome == string(OK) || cause != nil {
		c.log.Log(context.Background(), level, "command for the PBX", args...)
	} else {
		// Asterisk was not asked for anything. A program that repeats such a command must not fill the log.
		c.limited.Log(level, "command "+outcome+"\x00"+command+"\x00"+who.Name, "command for the PBX", args...)
	}
	for _, call := range in.calls {
		if own := errorOf(call.failed); own != nil {
			c.trace(who, command, call, string(own.Code), own.Text, record.At, record.Took)
			continue
		}
		c.trace(who, command, call, outcome, text, record.At, record.Took)
	}
	c.record(record, in)
}

// record stores a command that begins, or what became of it. If it cannot be stored, the command is carried out all the
// same: people who call must not wait for a disk.
func (c *Control) record(record *desk.Command, in *on) {
	if c.desk == nil {
		return
	}
	record.Server, record.Agent, record.Queue = cut(in.server), cut(in.agent), cut(in.queue)
	store := c.desk.AddCommand
	if record.ID != 0 {
		store = c.desk.EndCommand
	}
	if err := store(record); err != nil {
		if record.Outcome != desk.CommandBegun { // a begin that is not stored may still be stored with the end
			c.unrecorded.Inc()
		}
		c.limited.Error("unrecorded "+record.Command, "command not recorded", "command", record.Command, "by", record.Who, "outcome", record.Outcome, "err", err, "hint", "the log has what became of the command itself")
	}
}

// trace adds a command to the trace of a call.
func (c *Control) trace(who Actor, command string, call touched, outcome, text string, began time.Time, took time.Duration) {
	if c.calls == nil || call.linkedID == "" {
		return
	}
	why := "command of " + who.Name
	if text != "" {
		why += ": " + text
	}
	c.calls.TraceCommand(&dialplan.PointTrace{
		At: began, Took: took, Point: command, LinkedID: call.linkedID, UniqueID: call.uniqueID, Channel: call.channel, Status: outcome, Why: why,
	})
}

// recordOutcome records how a call ended that a command began.
func (c *Control) recordOutcome(who Actor, call touched, outcome switching.Outcome, began time.Time) {
	if c.desk == nil {
		return
	}
	err := c.desk.AddCommand(&desk.Command{
		At: began, Who: who.Name, Command: "dial-outcome", Server: cut(call.server), Call: cut(call.linkedID),
		Outcome: outcome.State, Result: encoded(outcome), Took: time.Since(began),
	})
	if err != nil {
		c.unrecorded.Inc()
		c.limited.Error("unrecorded outcome", "outcome of a call not recorded", "linkedid", call.linkedID, "err", err)
	}
}

// maxRecorded is the maximum length of a recorded parameter list or result, in bytes.
const maxRecorded = 4096

// encoded returns a value as JSON, "" for none.
func encoded(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxRecorded || string(text) == "{}" || string(text) == "null" {
		return ""
	}
	return string(text)
}

// cut shortens a value of a request for the record and the log.
func cut(s string) string { return text(s) }

// Result is what a command did with one queue or one call.
type Result struct {
	Server string `json:"server,omitempty"`
	Queue  string `json:"queue,omitempty"`
	Call   string `json:"call,omitempty"` // as the request named it
	Result Code   `json:"result"`         // ok, or a code of an error
	Error  string `json:"error,omitempty"`
}

// Results are those of a command that acts on several queues or calls.
type Results struct {
	Results []Result `json:"results"`
	causes  []error  // of those that failed, for the log
}

// cause implements outcomer.
func (r Results) cause() error { return errors.Join(r.causes...) }

// outcome is ok, the code of all, or partial if they differ.
func (r Results) outcome() string {
	for _, one := range r.Results[min(1, len(r.Results)):] {
		if one.Result != r.Results[0].Result {
			return string(partial)
		}
	}
	if len(r.Results) == 0 {
		return string(OK)
	}
	return string(r.Results[0].Result)
}

// Status returns the status of HTTP: 207 if the results differ.
func (r Results) Status() int {
	if outcome := r.outcome(); outcome != string(partial) {
		return Code(outcome).Status()
	}
	return 207
}

// add adds the result of one part.
func (r *Results) add(one Result, err error) {
	one.Result = OK
	if failed := errorOf(err); failed != nil {
		one.Result, one.Error = failed.Code, failed.Text
		if failed.Err != nil {
			r.causes = append(r.causes, fmt.Errorf("%s: %w", one.Queue+one.Call, failed.Err))
		}
	}
	r.Results = append(r.Results, one)
}

// reached are the Asterisks on which a command may act.
type reached struct {
	servers []*server // whose state is known and which answer; never empty
	away    []string  // names of the others
}

// reach returns the Asterisks of the configuration, or the one of a name. The error is that none of them can be reached.
func (c *Control) reach(ctx context.Context, name string) (r reached, err error) {
	all := c.all()
	if name != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(s *server) bool { return s.config.Name != name })
		if len(all) == 0 {
			return r, errorf(Unknown, "the configuration has no [[ami]] table %q", name)
		}
	}
	alive := make([]bool, len(all))
	var asking sync.WaitGroup
	for i, s := range all {
		asking.Go(func() {
			s.mu.Lock()
			connected := s.connected
			s.mu.Unlock()
			alive[i] = connected && s.client.Alive(ctx) == nil
		})
	}
	asking.Wait()
	for i, s := range all {
		if alive[i] {
			r.servers = append(r.servers, s)
		} else {
			r.away = append(r.away, s.config.Name)
		}
	}
	switch {
	case len(all) == 0:
		return r, errorf(Away, "the configuration has no [[ami]] table")
	case len(r.servers) == 0:
		return r, errorf(Away, "not connected to Asterisk's manager interface, or it does not answer")
	}
	return r, nil
}

// one returns the only Asterisk. Several are unclear, also if one alone can be reached.
func (r reached) one() (*server, error) {
	if len(r.servers)+len(r.away) > 1 {
		return nil, errorf(Unclear, "there are several Asterisks: name one by server=")
	}
	return r.servers[0], nil
}

// only returns the one Asterisk of which is reports true. what names what is looked for.
func (r reached) only(what string, is func(s *state) bool) (found *server, err error) {
	for _, s := range r.servers {
		s.mu.Lock()
		has := is(s.state)
		s.mu.Unlock()
		switch {
		case !has:
		case found != nil:
			return nil, errorf(Unclear, "several Asterisks have %s: name one by server=", what)
		default:
			found = s
		}
	}
	if found == nil {
		return nil, r.missing(Unknown, "there is no "+what)
	}
	return found, nil
}

// queue returns the Asterisk that has a queue.
func (r reached) queue(name string) (*server, error) {
	return r.only("queue "+text(name), func(s *state) bool { return s.queues[name] != nil })
}

// missing returns an error for what no Asterisk of r has. If one is away it may be there.
func (r reached) missing(code Code, why string) error {
	if len(r.away) > 0 {
		return errorf(Away, "%s on the Asterisks that answer; it may be on one that does not: %s", why, strings.Join(r.away, ", "))
	}
	return errorf(code, "%s", why)
}

// settle waits a moment until the live state shows what a command did, so that a request that follows sees it.
// An event that does not come is no failure.
func (s *server) settle(ctx context.Context, shown func(s *state) bool) {
	for end := time.Now().Add(settleTime); ; {
		s.mu.Lock()
		done := !s.connected || shown(s.state)
		s.mu.Unlock()
		if done || time.Now().After(end) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// rejectedWith reports whether Asterisk refused an action with a message that contains words.
func rejectedWith(err error, words ...string) bool {
	failed := errorOf(err)
	if failed == nil || failed.Code != PBX {
		return false
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(failed.Text, w) })
}
