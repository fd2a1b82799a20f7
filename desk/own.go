package desk

import (
	"net/http"
	"time"

	"ringhook/api"
	"ringhook/pops"
	accounts "ringhook/store/desk"
)

// handler serves a request of an agent.
type handler = func(http.ResponseWriter, *http.Request, *visitor)

// ownRoute is a route that the API does not have: one of sessions, pages, settings and exceptions.
type ownRoute struct {
	api.Operation
	do handler
	// open serves it without a session, instead of do.
	open http.HandlerFunc
}

// ownRoutes are all of them.
func (d *Desk) ownRoutes() []ownRoute {
	return []ownRoute{
		{Operation: api.Operation{Method: "POST", Path: "/v1/session", About: "Sign in", In: signInRequest{}, Out: signInAnswer{}, Status: http.StatusCreated}, open: d.enterJSON},
		{Operation: api.Operation{Method: "DELETE", Path: "/v1/session", About: "Sign out"}, open: d.exitJSON},
		{Operation: api.Operation{Method: "POST", Path: "/v1/invitation", About: "Accept an invitation: set a password and sign in", In: invitationRequest{}, Out: signInAnswer{}, Status: http.StatusCreated}, open: d.acceptJSON},
		{Operation: api.Operation{Method: "GET", Path: "/v1/me", About: "Show everything that an agent's page shows", Out: hello{}}, do: d.snapshot},
		{Operation: api.Operation{Method: "GET", Path: "/v1/me/events", About: "Get that, and then each change", Stream: true}, do: d.events},
		{Operation: api.Operation{Method: "POST", Path: "/v1/me/focus", About: "Make a tab the one that shows pops", In: focusRequest{}}, do: d.focused},
		{Operation: api.Operation{Method: "POST", Path: "/v1/me/pops/{pop}/receipt", About: "Report what became of a pop", In: receiptRequest{}}, do: d.receipted},
		{Operation: api.Operation{Method: "GET", Path: "/v1/me/sessions", About: "List where the agent is signed in", Out: sessionList{}}, do: d.sessions},
		{Operation: api.Operation{Method: "DELETE", Path: "/v1/me/sessions", About: "Sign out everywhere"}, do: d.endSessions},
		{Operation: api.Operation{Method: "DELETE", Path: "/v1/me/sessions/{session}", About: "Sign out of one session"}, do: d.endSessionOf},
		{Operation: api.Operation{Method: "PUT", Path: "/v1/me/calls/{linkedid}/note", About: "Write a note about a call", In: noteText{}, Out: noteStored{}}, do: d.note},
		{Operation: api.Operation{Method: "GET", Path: "/v1/me/settings", About: "Show the agent's settings", Out: settingsView{}}, do: d.settings},
		{Operation: api.Operation{Method: "PATCH", Path: "/v1/me/settings", About: "Change settings", In: map[string]string{}, Out: settingsView{}}, do: d.changeSettings},
		{Operation: api.Operation{Method: "GET", Path: "/v1/me/exceptions", About: "List the numbers that do not pop for the agent", Out: exceptionList{}}, do: d.exceptions},
		{Operation: api.Operation{Method: "PUT", Path: "/v1/me/exceptions/{number}", About: "Add a number that does not pop for the agent", In: noteText{}, Out: accounts.Exception{}}, do: d.addException},
		{Operation: api.Operation{Method: "DELETE", Path: "/v1/me/exceptions/{number}", About: "Remove a number of the agent"}, do: d.removeException},
		{Operation: api.Operation{Method: "GET", Path: "/v1/exceptions", About: "List the numbers that do not pop", Out: exceptionList{}}, do: ofAll(d.exceptions)},
		{Operation: api.Operation{Method: "PUT", Path: "/v1/exceptions/{number}", About: "Add a number that does not pop for any agent", In: noteText{}, Out: accounts.Exception{}}, do: ofAll(d.addException)},
		{Operation: api.Operation{Method: "DELETE", Path: "/v1/exceptions/{number}", About: "Remove a number that is for all agents"}, do: ofAll(d.removeException)},
		{Operation: api.Operation{Method: "GET", Path: "/v1/pops/{pop}", About: "Show the parameters of a pop", Out: popParams{}}, do: d.showPop},
		{Operation: api.Operation{Method: "GET", Path: "/v1/live/events", About: "Get what is alive, and then each change, for supervisors", Stream: true}, do: d.liveEvents},
	}
}

// The bodies of requests and answers.
type (
	signInRequest struct {
		Login    string `json:"login"`
		Password string `json:"password"`
	}
	invitationRequest struct {
		Code     string `json:"code"`
		Password string `json:"password"`
	}
	signInAnswer struct {
		Agent   string    `json:"agent"`
		Role    string    `json:"role"`
		Expires time.Time `json:"expires"`
	}
	focusRequest struct {
		Stream string `json:"stream"`
	}
	receiptRequest struct {
		Stream string    `json:"stream"`
		Fate   pops.Fate `json:"fate"`
	}
	noteText struct {
		Note string `json:"note"`
	}
	noteStored struct {
		Note     string `json:"note"`
		Reported bool   `json:"reported"` // as the event agent-note
	}
	popParams struct {
		Pop      string         `json:"pop"`
		LinkedID string         `json:"linkedid"`
		Agent    string         `json:"agent"`
		Rule     string         `json:"rule"`
		URL      string         `json:"url"`
		Title    string         `json:"title"`
		Fate     pops.Fate      `json:"fate"`
		Params   map[string]any `json:"params"`
	}
	sessionList struct {
		Sessions []shownSession `json:"sessions"`
	}
	exceptionList struct {
		Exceptions []accounts.Exception `json:"exceptions"`
		More       int                  `json:"more"` // that are not listed
	}
)
