package desk

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ringhook/api"
	"ringhook/clickfrom"
	"ringhook/control"
	"ringhook/desk/board"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/recordings"
	"ringhook/store/browse"
	accounts "ringhook/store/desk"
)

// routes returns the handler of all paths. Those below /v1/ need a session or a token.
func (d *Desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/desk/", http.StatusSeeOther) })
	mux.HandleFunc("GET /desk/{$}", d.page)
	mux.HandleFunc("GET /desk/window", d.window)
	mux.HandleFunc("GET /desk/show_vars", d.showVars)
	mux.HandleFunc("GET /desk/show_vars/{rule}", d.showRule)
	mux.HandleFunc("GET /desk/call", d.confirmCall)
	mux.HandleFunc("GET /desk/scheme", d.schemeFile)
	mux.HandleFunc("GET /desk/invite", d.invitation)
	mux.HandleFunc("POST /desk/invite", d.accept)
	mux.HandleFunc("POST /desk/sign-in", d.enter)
	mux.HandleFunc("POST /desk/sign-out", d.exit)
	mux.HandleFunc("POST /desk/language", d.chooseLanguage)
	mux.HandleFunc("GET /desk/assets/{hash}/{name}", d.asset)
	if d.clicks != nil {
		mux.HandleFunc(clickfrom.Prefix, d.click)
	}
	if d.recordings != nil {
		mux.Handle(recordings.Prefix, d.recordings)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	for _, own := range d.ownRoutes() {
		serve := own.open
		if serve == nil {
			serve = d.admitted(d.visitor, own.do)
		}
		mux.HandleFunc(own.Method+" "+own.Path, serve)
		d.described = append(d.described, own.Operation)
	}
	mux.HandleFunc("/v1/", d.admitted(d.sender, d.command))
	for _, route := range board.Routes() {
		mux.HandleFunc(route.Pattern, d.boardPage(route))
	}
	mux.HandleFunc("/", d.other)
	return mux
}

// admitted wraps a handler for those whom who returns. The request of a stream does not count as a use of the session.
func (d *Desk) admitted(who func(*http.Request) (*visitor, error), handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		me, err := who(r)
		switch {
		case errors.Is(err, errGuesses):
			w.Header().Set("Retry-After", "60")
			fail(w, http.StatusTooManyRequests, string(control.Busy), err.Error())
		case err != nil:
			d.limited.Error("session", "cannot read a session", "err", err)
			unavailable(w, failure(err))
		case me == nil:
			fail(w, http.StatusUnauthorized, "signed-out", "sign in first")
		default:
			if r.Method != http.MethodGet {
				d.used(me)
			}
			handle(w, r, me)
		}
	}
}

// unavailable answers a request that failed by an error of the store.
func unavailable(w http.ResponseWriter, outcome string) {
	if outcome == away {
		fail(w, http.StatusServiceUnavailable, api.CodeDatabase, browse.ErrAway.Error()+"; the log has the reason")
		return
	}
	fail(w, http.StatusServiceUnavailable, "error", "failed; the log has the reason")
}

// fail answers with an error in JSON.
func fail(w http.ResponseWriter, status int, code, text string) {
	reply(w, status, map[string]string{"error": text, "code": code})
}

// reply answers in JSON.
func reply(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"bug: the answer cannot be encoded","code":"error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// decode reads a body in JSON, which must have known fields only. It answers and returns false if it cannot.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "bad-request", "the body must be application/json")
		return false
	}
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		fail(w, http.StatusBadRequest, "bad-request", "the body is not what is expected")
		return false
	}
	return true
}

// focused makes the tab of a request the one that shows pops.
func (d *Desk) focused(w http.ResponseWriter, r *http.Request, me *visitor) {
	var asked focusRequest
	if !decode(w, r, &asked) {
		return
	}
	if !d.focus(me.agent.ID, asked.Stream) {
		fail(w, http.StatusNotFound, "unknown", "no such stream")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// tabFates are the fates that a tab may report.
var tabFates = []pops.Fate{pops.Sent, pops.Shown, pops.Offered, pops.Taken, pops.Blocked, pops.WindowLost, pops.Replaced, pops.ByAgent}

// receipted records what a tab reports about a pop.
func (d *Desk) receipted(w http.ResponseWriter, r *http.Request, me *visitor) {
	var asked receiptRequest
	if !decode(w, r, &asked) {
		return
	}
	if !slices.Contains(tabFates, asked.Fate) {
		fail(w, http.StatusBadRequest, "bad-request", "fate is not one that a tab reports")
		return
	}
	if err := d.receipt(me.agent.ID, r.PathValue("pop"), asked.Stream, asked.Fate); err != nil {
		fail(w, http.StatusConflict, "state", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// shownSession is a session of the agent.
type shownSession struct {
	accounts.Session
	Current bool `json:"current"` // of the request
}

// sessions lists the sessions of the agent.
func (d *Desk) sessions(w http.ResponseWriter, _ *http.Request, me *visitor) {
	list, err := d.accounts.Sessions(me.agent.ID)
	if err != nil {
		d.limited.Error("sessions", "cannot list sessions", "err", err)
		unavailable(w, failure(err))
		return
	}
	shown := make([]shownSession, len(list))
	for i, s := range list {
		shown[i] = shownSession{s, me.secret != "" && s.ID == me.session.ID}
	}
	reply(w, http.StatusOK, sessionList{shown})
}

// endSessions signs the agent out everywhere.
func (d *Desk) endSessions(w http.ResponseWriter, _ *http.Request, me *visitor) {
	if _, err := d.accounts.EndSessions(me.agent.ID); err != nil {
		d.limited.Error("end sessions", "cannot end sessions", "err", err)
		unavailable(w, failure(err))
		return
	}
	d.endTabs(me.agent.ID, byeSignedOut)
	http.SetCookie(w, d.current.Load().cookie("", -time.Second))
	w.WriteHeader(http.StatusNoContent)
}

// other serves the Yemot dialect and getevent, and answers every path that there is not.
func (d *Desk) other(w http.ResponseWriter, r *http.Request) {
	if d.serveYemot(w, r) {
		return
	}
	polls := d.current.Load().polls
	if polls == nil || polls.Path() == "" || r.URL.Path != polls.Path() {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if fromPage(r) {
		http.Error(w, "browsers are not served here", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		bearer = ""
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	from, _ := netip.ParseAddr(host) // the zero address is in no prefix
	answer := polls.Answer(&getevent.Request{
		Query: r.URL.RawQuery, Body: string(body), Accept: r.Header.Get("Accept"), Bearer: strings.TrimSpace(bearer), XToken: r.Header.Get("X-Token"), From: from,
	})
	if answer.Guess && d.guesses("getevent "+d.addressOf(r)) {
		http.Error(w, "too many wrong tokens from this address", http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", answer.Type)
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
}
