// Package campaign calls lists of numbers, and connects those who answer with an extension.
//
// No number is called twice: that a number is about to be called is on disk before Asterisk is asked. If the result
// of a call is not known, because ringhook or the connection to Asterisk ended meanwhile, it is unclear, and the number
// is not called again. It counts as open until Asterisk no longer has it.
package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/loglimit"
	"ringhook/lookup/number"
	"ringhook/store/desk"
)

// Store is the part of desk.Desk that campaigns need.
type Store interface {
	AddCampaign(c desk.Campaign, numbers []desk.CampaignNumber) error
	Campaigns() ([]desk.Campaign, error)
	Campaign(id string) (desk.Campaign, bool, error)
	EndCampaign(id, state string, when time.Time) (bool, error)
	CampaignNumbers(id string) ([]desk.CampaignNumber, error)
	WaitingNumbers(id string, limit int) ([]desk.CampaignNumber, error)
	ClaimNumber(campaign string, n int, call string, when time.Time) (bool, error)
	SettleNumber(campaign string, n int, state, result string, when time.Time) error
	SettleCalling(result string, when time.Time) error
}

// Dialler returns the connection to an Asterisk, nil if the configuration has none of this name.
type Dialler func(server string) *ami.Client

// Settings are those of the moment.
type Settings struct {
	Config  Config
	Numbers *number.Reader
	// Dialled returns a number as it is dialled, and why it must not be, empty if it may.
	Dialled func(number string) (dialled, refused string)
}

// Runner calls the numbers of all campaigns. Make one with New.
type Runner struct {
	store    Store
	dialler  Dialler
	log      *slog.Logger
	limited  *loglimit.Limiter // for lines that each number can cause
	settings func() Settings
	now      func() time.Time

	mu      sync.Mutex
	cancel  map[string]context.CancelFunc // of each campaign that runs; guarded by mu
	ctx     context.Context               // of all campaigns; nil before Start; guarded by mu
	running sync.WaitGroup
}

// New returns a runner that does nothing before Start.
func New(store Store, dialler Dialler, settings func() Settings, log *slog.Logger) *Runner {
	return &Runner{store: store, dialler: dialler, settings: settings, log: log, limited: loglimit.New(log, time.Minute), now: time.Now, cancel: map[string]context.CancelFunc{}}
}

// Options are those of one campaign.
type Options struct {
	Context  string        `json:"context"`
	CallerID string        `json:"caller_id,omitempty"`
	Timeout  time.Duration `json:"timeout"`
	Parallel int           `json:"parallel"`
}

// The results of a number beside those of switching.Outcome.
const unclear = switching.Lost

// Start continues the campaigns that run, in the background until ctx ends; Wait waits for them. Numbers that were
// being called are unclear, also those of campaigns that have ended. It is called again after the former ctx has ended.
func (r *Runner) Start(ctx context.Context) error {
	r.running.Wait()
	if err := r.store.SettleCalling(unclear, r.now()); err != nil {
		return err
	}
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	return r.Resume()
}

// Resume begins the campaigns that run according to the store, and not here yet: another node has added them.
func (r *Runner) Resume() error {
	all, err := r.store.Campaigns()
	if err != nil {
		return err
	}
	for _, c := range all {
		r.mu.Lock()
		known := r.cancel[c.ID] != nil
		r.mu.Unlock()
		if c.State == desk.CampaignRunning && !known {
			r.launch(c)
		}
	}
	return nil
}

// Wait waits for the end of everything that Start began.
func (r *Runner) Wait() {
	r.running.Wait()
	r.limited.Close()
}

// Stopped waits until the campaigns have ended whose ctx has.
func (r *Runner) Stopped() { r.running.Wait() }

// launch runs a campaign in the background.
func (r *Runner) launch(c desk.Campaign) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil || r.cancel[c.ID] != nil {
		return // the next start continues it, or it runs
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.cancel[c.ID] = cancel
	r.running.Go(func() {
		defer func() {
			cancel()
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.cancel, c.ID)
		}()
		r.run(ctx, c)
	})
}

// Add stores a campaign and begins it. It returns the reason for each number that is not called.
func (r *Runner) Add(c desk.Campaign, o Options, entries []Entry) (accepted int, refused map[string]string, err error) {
	s := r.settings()
	refused = map[string]string{}
	var numbers []desk.CampaignNumber
	seen := map[string]bool{}
	for _, e := range entries {
		dialled, why := s.Dialled(e.Number)
		switch {
		case why != "":
		case e.CallerID != "" && !switching.Digits(e.CallerID):
			why = "caller_id is not a number"
		case seen[dialled]:
			why = "is in the list twice"
		case s.Config.Hours != "" && s.Numbers.Normalize(e.Number).RegionTime(r.now()) == "":
			why = "the time of day in its region is not known"
		}
		if why != "" {
			refused[cutNumber(e.Number)] = why
			continue
		}
		seen[dialled] = true
		detail, err := json.Marshal(e)
		if err != nil {
			return 0, nil, err
		}
		numbers = append(numbers, desk.CampaignNumber{Number: e.Number, Detail: string(detail)})
	}
	if len(numbers) == 0 {
		return 0, refused, nil
	}
	settings, err := json.Marshal(o)
	if err != nil {
		return 0, nil, err
	}
	c.Created, c.State, c.Settings = r.now(), desk.CampaignRunning, string(settings)
	if err := r.store.AddCampaign(c, numbers); err != nil {
		return 0, nil, err
	}
	r.launch(c)
	return len(numbers), refused, nil
}

// cutNumber bounds a number in an answer.
func cutNumber(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// Stop ends a campaign: no further number is called. Calls in progress continue. It reports false if it did not run.
func (r *Runner) Stop(id string) (bool, error) {
	stopped, err := r.store.EndCampaign(id, desk.CampaignStopped, r.now())
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.cancel[id]; cancel != nil && stopped {
		cancel()
	}
	return stopped, err
}

// Timing of a campaign that cannot go on now.
const (
	hoursPause  = time.Minute     // until the hours of the next number
	awayPause   = 5 * time.Second // until Asterisk is connected, or the disk can be written
	settlePause = time.Second     // until the result of a call is stored again that could not be
	endPause    = time.Second     // until Asterisk is asked again for a call whose events are not seen
)

// sleep waits, and reports false if ctx ended before.
func sleep(ctx context.Context, long time.Duration) bool {
	select {
	case <-time.After(long):
		return true
	case <-ctx.Done():
		return false
	}
}

// run calls the numbers of a campaign until none waits, or ctx ends.
func (r *Runner) run(ctx context.Context, c desk.Campaign) {
	var o Options
	if err := json.Unmarshal([]byte(c.Settings), &o); err != nil {
		r.log.Error("campaign cannot be read", "campaign", c.ID, "err", err)
		return
	}
	lines := lines{free: make(chan struct{}, max(1, min(o.Parallel, mostParallel)))}
	defer lines.calls.Wait()
	for _, id := range r.former(ctx, c) {
		if !lines.acquire(ctx) {
			return
		}
		lines.use(func() { r.outlast(ctx, c.ID, c.Server, id) })
	}
	for lines.acquire(ctx) {
		call, err := r.callNext(ctx, c, o, &lines)
		if call != nil {
			lines.use(func() { r.follow(call) })
			continue
		}
		lines.release()
		pause := time.Duration(0)
		switch {
		case errors.Is(err, errEnded):
			return
		case errors.Is(err, errHours):
			pause = hoursPause
		case err != nil:
			r.paused(c.ID, err, awayPause)
			pause = awayPause
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// Why a campaign calls no number now.
var (
	errEnded = errors.New("campaign has ended")
	errHours = errors.New("no number that waits may be called at this time of day")
)

// callNext calls the next number of a campaign. It returns nil and no error if the number was settled at once, and ends the
// campaign after its last call.
func (r *Runner) callNext(ctx context.Context, c desk.Campaign, o Options, lines *lines) (*openCall, error) {
	next, more, err := r.next(c.ID)
	switch {
	case err != nil:
		return nil, err
	case next != nil:
		return r.begin(ctx, c, o, *next)
	case more:
		return nil, errHours
	}
	lines.calls.Wait()
	if _, err = r.store.EndCampaign(c.ID, desk.CampaignDone, r.now()); err != nil {
		return nil, err
	}
	r.log.Info("campaign done", "campaign", c.ID)
	return nil, errEnded
}

// paused logs why a campaign cannot go on now.
func (r *Runner) paused(campaign string, err error, retry time.Duration) {
	r.limited.Warn("paused "+campaign, "campaign paused", "campaign", campaign, "err", err, "retry_in", retry)
}

// former returns the calls of a campaign that go on although the program that began them has ended. It waits until Asterisk
// can be asked, or ctx ends.
func (r *Runner) former(ctx context.Context, c desk.Campaign) []string {
	for {
		calls, err := r.alive(ctx, c)
		if err == nil {
			return calls
		}
		r.paused(c.ID, err, awayPause)
		if !sleep(ctx, awayPause) {
			return nil
		}
	}
}

// alive returns the calls of a campaign that Asterisk has.
func (r *Runner) alive(ctx context.Context, c desk.Campaign) (calls []string, err error) {
	numbers, err := r.store.CampaignNumbers(c.ID)
	if err != nil {
		return nil, err
	}
	begun := map[string]bool{}
	for _, n := range numbers {
		if n.Call != "" {
			begun[n.Call] = true
		}
	}
	if len(begun) == 0 {
		return nil, nil
	}
	client := r.dialler(c.Server)
	if client == nil {
		return nil, fmt.Errorf("[[ami]] %s: %w", c.Server, ami.ErrAway)
	}
	channels, err := client.List(ctx, ami.Action{Name: "CoreShowChannels"})
	for _, m := range channels {
		if id := m.Get("Uniqueid"); begun[id] {
			calls = append(calls, id)
		}
	}
	return calls, err
}

// outlast waits until Asterisk no longer has a call of a campaign whose events are not seen, or ctx ends. If Asterisk
// refuses to say whether it has the call, the call is not waited for.
func (r *Runner) outlast(ctx context.Context, campaign, server, id string) {
	for waits := false; ; {
		client := r.dialler(server)
		if client == nil {
			return // it is no longer configured
		}
		exists, err := switching.Exists(ctx, client, id)
		var rejected *ami.RejectedError
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &rejected):
			r.limited.Warn("end "+campaign, "campaign does not wait for a call", "campaign", campaign, "linkedid", id, "err", err,
				"hint", "more calls than parallel may be open; see ringhook ami check")
			return
		case err != nil:
			r.paused(campaign, err, endPause)
		case !exists:
			return
		case !waits:
			waits = true
			r.limited.Log(slog.LevelInfo, "waits "+campaign, "campaign waits for a call whose end is not seen", "campaign", campaign, "linkedid", id)
		}
		if !sleep(ctx, endPause) {
			return
		}
	}
}

// next returns a number that waits and may be called now, and whether any waits.
func (r *Runner) next(id string) (next *desk.CampaignNumber, more bool, err error) {
	waiting, err := r.store.WaitingNumbers(id, mostNumbers)
	if err != nil {
		return nil, false, err
	}
	s := r.settings()
	for i := range waiting {
		if s.Config.Hours == "" || s.Config.within(s.Numbers.Normalize(waiting[i].Number).RegionTime(r.now())) {
			return &waiting[i], true, nil
		}
	}
	return nil, len(waiting) > 0, nil
}

// openCall is a call in progress.
type openCall struct {
	campaign string
	n        int
	server   string
	id       string
	course   *switching.Course // nil if it is not known whether Asterisk began the call
}

// begin claims a number on disk, and then calls it. It returns nil and no error if the number was settled at once.
func (r *Runner) begin(ctx context.Context, c desk.Campaign, o Options, n desk.CampaignNumber) (*openCall, error) {
	var e Entry
	if err := json.Unmarshal([]byte(n.Detail), &e); err != nil {
		return nil, r.store.SettleNumber(c.ID, n.N, desk.NumberDone, switching.Failed, r.now())
	}
	client := r.dialler(c.Server)
	if client == nil || !client.Connected() {
		return nil, fmt.Errorf("[[ami]] %s: %w", c.Server, ami.ErrAway)
	}
	s := r.settings()
	dialled, why := s.Dialled(e.Number) // a reload may have changed it
	if why != "" {
		return nil, r.store.SettleNumber(c.ID, n.N, desk.NumberDone, switching.Rejected, r.now())
	}
	to, err := switching.CheckExtension(ctx, client, o.Context, c.Target)
	if err != nil {
		return nil, err
	}
	id := switching.NewID()
	claimed, err := r.store.ClaimNumber(c.ID, n.N, id, r.now())
	switch {
	case err != nil:
		return nil, err
	case !claimed:
		return nil, errEnded
	}
	callerID := e.CallerID
	if callerID == "" {
		callerID = o.CallerID
	}
	course, err := switching.Start(ctx, client, switching.Dial{
		ID: id, Channel: "Local/" + dialled + "@" + o.Context + "/n", To: to, Number: callerID, Timeout: o.Timeout,
	})
	switch {
	case err == nil:
		return &openCall{c.ID, n.N, c.Server, id, course}, nil
	case errors.Is(err, ami.ErrAway): // nothing was sent
		return nil, errors.Join(err, r.settle(c.ID, n.N, desk.NumberWaiting, ""))
	case !ami.MayHaveRun(err):
		r.limited.Warn("refused "+c.ID, "campaign's call refused", "campaign", c.ID, "linkedid", id, "err", err)
		return nil, r.settle(c.ID, n.N, desk.NumberDone, switching.Failed)
	}
	r.limited.Warn("unclear "+c.ID, "campaign's call is unclear", "campaign", c.ID, "linkedid", id, "err", err)
	return &openCall{c.ID, n.N, c.Server, id, nil}, nil
}

// settle stores what became of a number that was claimed. If that fails it is tried again until the program ends: the next
// start finds the number being called.
func (r *Runner) settle(campaign string, n int, state, result string) error {
	r.mu.Lock()
	ctx := r.ctx
	r.mu.Unlock()
	for {
		err := r.store.SettleNumber(campaign, n, state, result, r.now())
		if err == nil {
			return nil
		}
		r.limited.Error("result "+campaign, "cannot store a campaign's result", "campaign", campaign, "err", err, "retry_in", settlePause)
		if !sleep(ctx, settlePause) {
			return err
		}
	}
}

// follow stores the result of a call as soon as it is known, and returns when the call has ended. A stop of the campaign
// does not end it, so it takes no context of the campaign.
func (r *Runner) follow(call *openCall) {
	r.mu.Lock()
	ctx := r.ctx
	r.mu.Unlock()
	if call.course == nil {
		if r.settle(call.campaign, call.n, desk.NumberDone, unclear) == nil {
			r.outlast(ctx, call.campaign, call.server, call.id)
		}
		return
	}
	defer call.course.Close()
	settled := false
	for !settled {
		outcome, final := call.course.Next(ctx)
		if ctx.Err() != nil {
			return // the next start finds it being called
		}
		// The callee is the first stage; where the call then goes is the dialplan's.
		if outcome.Stage == switching.StageNumber {
			outcome.State = switching.Answered
		}
		if !final && outcome.State != switching.Answered {
			continue
		}
		settled = true
		if r.settle(call.campaign, call.n, desk.NumberDone, outcome.State) != nil {
			return // the program ends
		}
		if outcome.State == unclear || outcome.State == switching.Answered && !call.course.Ended(ctx) {
			r.outlast(ctx, call.campaign, call.server, call.id)
		}
	}
}
