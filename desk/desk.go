// Package desk serves the browsers of agents: sign-in, the agent's page with its event stream, and the
// commands of the page. It shows what pops decides and what control knows, and decides nothing
// itself but which of an agent's tabs shows a pop.
//
// It guarantees that no page, stream or slow browser delays a call: a stream has a bounded buffer and is
// closed when that is full; the browser then connects again and gets a snapshot. A pop is confirmed by a
// tab, or goes to the next tab and then to the rule's next way.
package desk

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/accept"
	"ringhook/api"
	"ringhook/api/yemot"
	"ringhook/clickfrom"
	"ringhook/control"
	"ringhook/desk/board"
	"ringhook/desk/figures"
	"ringhook/desk/framing"
	"ringhook/dialplan"
	"ringhook/loglimit"
	"ringhook/lookup/number"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/store/browse"
	accounts "ringhook/store/desk"
)

// Desk serves the pages of agents. Its methods may be called concurrently.
type Desk struct {
	log        *slog.Logger
	limited    *loglimit.Limiter // for log lines that every request can cause
	live       *pops.Live
	control    *control.Control
	api        *api.API
	dialect    *yemot.Yemot
	accounts   Accounts
	board      *board.Board
	metrics    *metrics
	epoch      string // distinguishes the ids of messages from those before a restart
	hashers    hashers
	throttle   *throttle // of addresses, and of names without an agent
	guessed    *throttle // of the configured agents
	assets     *assets
	current    atomic.Pointer[current]
	http       *http.Server
	described  []api.Operation // the routes that the API does not have
	clicks     *clickfrom.Service
	recordings http.Handler
	notes      func(ctx context.Context, linkedid, call, agentPhone, note string) bool
	changed    func() error
	frames     *framing.Checker // nil if pages are not asked whether they allow frames

	mu      sync.Mutex
	hubs    map[string]*hub     // by agent
	lives   map[string]*liveHub // of supervisors, by agent
	showing map[string]*showing // pops that wait for a receipt, by id
	streams int
	base    uint64 // number of the latest message of the agents that were forgotten
	closed  bool

	quit    chan struct{}
	ended   sync.WaitGroup
	carried sync.WaitGroup // of the streams
}

// current holds what a reload exchanges.
type current struct {
	Settings
	url    *url.URL
	csp    string
	agents map[string]dialplan.Agent
	// contacts are those to whom calls are transferred.
	contacts []contact
	proxies  []netip.Prefix
	tls      *certificate
	polls    *getevent.Service
}

// Settings are what a reload exchanges.
type Settings struct {
	Config Config
	Agents []dialplan.Agent
	Queues []dialplan.Queue
	Pauses []control.PauseReason
	// Frames are the origins that pages may be framed from.
	Frames []string
	// Connected reports whether there is an Asterisk whose manager interface is used.
	PBX   bool
	Polls *getevent.Service
	Yemot yemot.Config
	// Board is for the pages of supervisors, beside what it shares with the other settings.
	Board board.Settings
	// Numbers reads numbers as those of calls are read.
	Numbers *number.Reader
}

// Accounts stores passwords, sessions, and what agents set for themselves.
type Accounts interface {
	figures.States
	yemot.DIDs
	Password(agent string) (hash string, found bool, err error)
	Invited(code string, now time.Time) (agent string, valid bool, err error)
	Accept(code, hash string, now time.Time) (agent string, accepted bool, err error)
	AddSession(s accounts.Session) (secret string, err error)
	Session(secret string) (s accounts.Session, found bool, err error)
	SessionUsed(secret string, when time.Time) error
	Sessions(agent string) ([]accounts.Session, error)
	EndSession(secret string) error
	EndSessions(agent string) (n int, err error)
	EndSessionOf(agent, id string) (ended bool, err error)
	Token(token string) (t accounts.Token, found bool, err error)
	SettingsOf(agent string) (map[string]string, error)
	SetSettings(agent string, changes map[string]string) error
	Exceptions() ([]accounts.Exception, error)
	AddExceptions(list ...accounts.Exception) error
	RemoveException(number, agent string) (removed bool, err error)
	SetNote(n accounts.Note) error
	Notes(agent string, limit int) ([]accounts.Note, error)
}

// Parts are the other components that the desk shows.
type Parts struct {
	Live     *pops.Live
	Control  *control.Control
	API      *api.API // answers what concerns the PBX
	Accounts Accounts
	Store    browse.Store
	Clicks   *clickfrom.Service // nil for none
	// Recordings serves recordings; nil for none.
	Recordings http.Handler
	// Notes makes the event of an agent's note about a call, which is named as by hooks.Event.Call; nil for none.
	Notes func(ctx context.Context, linkedid, call, agentPhone, note string) bool
	// Changed puts settings and exceptions that were stored in force; nil for none.
	Changed func() error
	// Frames finds out which pages allow no frames; nil if they are not asked.
	Frames *framing.Checker
	Build  string // version of the program
}

// New returns a desk that is not served yet.
func New(s Settings, p Parts, log *slog.Logger, reg prometheus.Registerer) (*Desk, error) {
	files, err := readAssets()
	if err != nil {
		return nil, err
	}
	d := &Desk{
		log: log, limited: loglimit.New(log, time.Minute), live: p.Live, control: p.Control, api: p.API, dialect: yemot.New(p.Control, p.Accounts), accounts: p.Accounts, clicks: p.Clicks, recordings: p.Recordings, notes: p.Notes, changed: p.Changed, frames: p.Frames, epoch: strconv.FormatInt(time.Now().Unix(), 36),
		hashers: newHashers(), throttle: newThrottle(maxWatched), guessed: newThrottle(0), assets: files, hubs: map[string]*hub{}, lives: map[string]*liveHub{}, showing: map[string]*showing{}, quit: make(chan struct{}),
	}
	d.metrics = newMetrics(reg, func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return float64(d.streams)
	})
	next, err := d.prepare(s)
	if err != nil {
		return nil, err
	}
	d.current.Store(next)
	d.board = board.New(next.boardSettings(), board.Parts{Control: p.Control, Store: p.Store, Accounts: p.Accounts, Desks: d.Desks, Log: log, Limited: d.limited})
	routes := d.routes()
	protected := d.admit(http.NewCrossOriginProtection().Handler(routes), routes)
	d.http = &http.Server{
		Handler: d.guard(protected), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' mistakes
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return d.current.Load().tls.get()
		}},
	}
	return d, nil
}

// prepare makes everything of the settings that can fail.
func (d *Desk) prepare(s Settings) (*current, error) {
	u, err := url.Parse(s.Config.URL)
	if err != nil {
		return nil, fmt.Errorf("[desk] url: %w", err)
	}
	c := &current{Settings: s, url: u, csp: policy(s.Frames), agents: map[string]dialplan.Agent{}, contacts: contactsOf(&s), polls: s.Polls}
	for _, a := range s.Agents {
		if a.ID != "" {
			c.agents[a.ID] = a
		}
	}
	for _, text := range s.Config.Proxies {
		p, err := prefixOf(text)
		if err != nil {
			return nil, fmt.Errorf("[desk] proxies: %w", err)
		}
		c.proxies = append(c.proxies, p)
	}
	if s.Config.CertFile != "" {
		if c.tls, err = readCertificate(s.Config.CertFile, s.Config.KeyFile); err != nil {
			return nil, fmt.Errorf("[desk] cert_file: %w", err)
		}
	}
	return c, nil
}

// Prepare makes everything of new settings that can fail, and returns the function that puts them in force.
func (d *Desk) Prepare(s Settings) (exchange func(), err error) {
	next, err := d.prepare(s)
	if err != nil {
		return nil, err
	}
	return func() {
		d.current.Store(next)
		d.board.Configure(next.boardSettings())
	}, nil
}

// boardSettings returns the settings of the pages of supervisors.
func (c *current) boardSettings() board.Settings {
	s := c.Board
	s.Agents, s.Queues, s.Pauses, s.PBX, s.Level, s.Mask = c.Agents, c.Queues, c.Pauses, c.PBX, c.Config.ServiceLevel, c.Config.MaskNumbers
	return s
}

// Serve serves a listener until Shutdown, and then returns nil.
func (d *Desk) Serve(l net.Listener) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.ended.Go(func() { d.watch(d.showStates) })
	d.ended.Go(func() { d.watch(d.showLive) })
	d.mu.Unlock()
	var err error
	l = accept.Patient(l, "cannot accept connections of browsers; trying again", d.log)
	l = &limitedListener{Listener: l, most: func() int { return d.current.Load().Config.MaxConnections() }}
	if d.current.Load().tls != nil {
		err = d.http.ServeTLS(l, "", "")
	} else {
		err = d.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown asks the streams to connect again later, and waits until ctx ends for requests and streams in progress.
func (d *Desk) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.quit)
		for _, s := range d.showing {
			s.timer.Stop()
		}
		for _, h := range d.hubs {
			for _, s := range h.streams {
				s.end(byeRestart)
			}
		}
		for _, h := range d.lives {
			for _, s := range h.streams {
				s.end(byeRestart)
			}
		}
	}
	d.mu.Unlock()
	err := d.http.Shutdown(ctx)
	carried := make(chan struct{})
	go func() {
		d.carried.Wait()
		close(carried)
	}()
	select {
	case <-carried:
	case <-ctx.Done():
		err = cmp.Or(err, ctx.Err())
	}
	d.ended.Wait()
	d.limited.Close()
	return err
}

// agent returns the agent of an id.
func (d *Desk) agent(id string) (dialplan.Agent, bool) {
	a, ok := d.current.Load().agents[id]
	return a, ok
}
