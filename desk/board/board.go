// Package board serves the pages of supervisors and administrators: live queues, calls and agents, figures,
// screen pops with their reasons, the outbox, and the trace of a call.
//
// A supervisor sees and changes only the queues of [[agent]] supervises, the calls that were in them, and the agents who
// may log in to them. An administrator sees everything. What each route needs is in one table.
package board

import (
	"embed"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/control"
	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/recordings"
	"ringhook/store/browse"
)

// Assets are the scripts and styles of the pages.
//
//go:embed assets/*.js assets/*.css
var Assets embed.FS

// Parts are the components that the pages show.
type Parts struct {
	Control  *control.Control
	Store    browse.Store
	Accounts figures.States
	// Desks returns the number of open pages of an agent.
	Desks func(agent string) int
	Log   *slog.Logger
	// Limited is for the log lines that every request can cause.
	Limited *loglimit.Limiter
}

// Settings are what a reload exchanges.
type Settings struct {
	Agents []dialplan.Agent
	Queues []dialplan.Queue
	Pauses []control.PauseReason
	// Moments are the events of the rules of screen pops.
	Moments []string
	// PBX reports whether there is an Asterisk whose manager interface is used.
	PBX bool
	// Level is the time within which a call is to be answered.
	Level time.Duration
	// Mask hides the last digits of numbers from supervisors.
	Mask bool
	// Kept is the time for which calls are kept.
	Kept time.Duration
	// Hooks returns the hooks in force.
	Hooks func() *hooks.Dispatcher
	// Links hides the secrets of links to recordings.
	Links *recordings.Shown
}

// Board serves the pages. Its methods may be called concurrently.
type Board struct {
	Parts
	settings atomic.Pointer[Settings]
	book     *figures.Book
	reading  chan struct{} // bounds the pages that read the trace

	mu      sync.Mutex
	updated time.Time // of the book; guarded by mu
	times   map[string]figures.Times
	timed   time.Time // of times
}

// maxReading is the maximum number of pages that read the trace at once.
const maxReading = 2

// New returns a board.
func New(s Settings, p Parts) *Board {
	b := &Board{Parts: p, reading: make(chan struct{}, maxReading)}
	b.book = figures.New(p.Store, s.Level, p.Log)
	b.Configure(s)
	return b
}

// Configure puts settings in force.
func (b *Board) Configure(s Settings) {
	b.settings.Store(&s)
	b.book.SetLevel(s.Level)
}

// Page is the handler of a page for a viewer.
type Page func(b *Board, w http.ResponseWriter, r *http.Request, f *Frame)

// Route is a path and who may use it.
type Route struct {
	Pattern string
	Role    string // the least role: supervisor or administrator
	Page    Page
}

// Routes returns all pages.
func Routes() []Route {
	return []Route{
		{"GET /desk/live", dialplan.RoleSupervisor, (*Board).livePage},
		{"GET /desk/wall", dialplan.RoleSupervisor, (*Board).wallPage},
		{"GET /desk/figures", dialplan.RoleSupervisor, (*Board).figuresPage},
		{"GET /desk/figures/queues.csv", dialplan.RoleSupervisor, (*Board).queuesCSV},
		{"GET /desk/figures/agents.csv", dialplan.RoleSupervisor, (*Board).agentsCSV},
		{"GET /desk/figures/hours.csv", dialplan.RoleSupervisor, (*Board).hoursCSV},
		{"GET /desk/calls", dialplan.RoleSupervisor, (*Board).callsPage},
		{"GET /desk/calls.csv", dialplan.RoleSupervisor, (*Board).callsCSV},
		{"GET /desk/calls/{linkedid}", dialplan.RoleSupervisor, (*Board).callPage},
		{"GET /desk/pops", dialplan.RoleSupervisor, (*Board).popsPage},
		{"GET /desk/outbox", dialplan.RoleAdministrator, (*Board).outboxPage},
		{"GET /desk/outbox/{id}", dialplan.RoleAdministrator, (*Board).deliveryPage},
		{"POST /desk/outbox/{what}", dialplan.RoleAdministrator, (*Board).changeOutbox},
	}
}
