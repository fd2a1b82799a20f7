package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ringhook/control"
	"ringhook/pops"
	accounts "ringhook/store/desk"
)

type handler = func(http.ResponseWriter, *http.Request, *visitor)

// agentRoutes are those below /v1/me/ of an agent's own calls, notes, settings and exceptions.
func (d *Desk) agentRoutes() map[string]handler {
	return map[string]handler{
		"GET /v1/me":                                d.snapshot,
		"POST /v1/me/calls":                         d.dial,
		"POST /v1/me/calls/{linkedid}/hangup":       d.onCall((*control.Control).Hangup),
		"POST /v1/me/calls/{linkedid}/mute":         d.onCall((*control.Control).Mute),
		"POST /v1/me/calls/{linkedid}/unmute":       d.onCall((*control.Control).Unmute),
		"POST /v1/me/calls/{linkedid}/dtmf":         d.onCall((*control.Control).DTMF),
		"POST /v1/me/calls/{linkedid}/answer":       d.onHold((*control.Control).Answer),
		"POST /v1/me/calls/{linkedid}/hold":         d.onHold((*control.Control).Hold),
		"POST /v1/me/calls/{linkedid}/resume":       d.onHold((*control.Control).Unhold),
		"POST /v1/me/calls/{linkedid}/transfer":     d.transfer,
		"POST /v1/me/transfers/{transfer}/complete": d.onTransfer((*control.Control).Complete),
		"DELETE /v1/me/transfers/{transfer}":        d.onTransfer((*control.Control).Cancel),
		"PUT /v1/me/calls/{linkedid}/note":          d.note,
		"POST /v1/me/pop":                           d.popOnDemand,
		"GET /v1/me/settings":                       d.settings,
		"PATCH /v1/me/settings":                     d.changeSettings,
		"GET /v1/me/exceptions":                     d.exceptions,
		"PUT /v1/me/exceptions/{number}":            d.addException,
		"DELETE /v1/me/exceptions/{number}":         d.removeException,
		"DELETE /v1/me/sessions/{session}":          d.endSessionOf,
		"GET /v1/pops/{pop}":                        d.showPop,
	}
}

// carry runs a command of an agent, shows what it changed at once, and answers. Out may have a status of its own.
func carry[In, Out any](d *Desk, w http.ResponseWriter, r *http.Request, me *visitor, place func(*In), do func(*control.Control, context.Context, control.Actor, In) (Out, error)) {
	var in In
	who, ok := d.actor(w, me)
	if !ok || r.Method != http.MethodDelete && !decode(w, r, &in) {
		return
	}
	place(&in)
	ctx, cancel := context.WithTimeout(r.Context(), commandTime)
	defer cancel()
	done, err := do(d.control, ctx, who, in)
	d.refresh(me.agent.ID)
	if err != nil {
		d.refuse(w, err)
		return
	}
	status := http.StatusOK
	if own, ok := any(done).(interface{ Status() int }); ok {
		status = own.Status()
	}
	reply(w, status, done)
}

// dial calls a number: first the agent's phone.
func (d *Desk) dial(w http.ResponseWriter, r *http.Request, me *visitor) {
	carry(d, w, r, me, func(in *control.DialRequest) { in.Agent = me.agent.ID }, (*control.Control).Dial)
}

// transfer transfers a call, or begins an attended transfer.
func (d *Desk) transfer(w http.ResponseWriter, r *http.Request, me *visitor) {
	carry(d, w, r, me, func(in *control.TransferRequest) { in.Agent, in.LinkedID = me.agent.ID, r.PathValue("linkedid") }, (*control.Control).Transfer)
}

// onHold returns the handler of a command that answers, holds or resumes.
func (d *Desk) onHold(do func(*control.Control, context.Context, control.Actor, control.HoldRequest) (control.HoldResult, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, me *visitor) {
		carry(d, w, r, me, func(in *control.HoldRequest) { in.Agent, in.LinkedID = me.agent.ID, r.PathValue("linkedid") }, do)
	}
}

// onTransfer returns the handler of a command that ends an attended transfer.
func (d *Desk) onTransfer(do func(*control.Control, context.Context, control.Actor, control.TransferEnd) (control.TransferResult, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, me *visitor) {
		carry(d, w, r, me, func(in *control.TransferEnd) { in.Agent, in.Transfer = me.agent.ID, r.PathValue("transfer") }, do)
	}
}

// maxNote is the maximum length of a note, in characters.
const maxNote = 2000

// note stores what the agent wrote about a call, and reports it as an event while the call is known.
func (d *Desk) note(w http.ResponseWriter, r *http.Request, me *visitor) {
	var in struct {
		Note string `json:"note"`
	}
	if !decode(w, r, &in) {
		return
	}
	linkedid, text := r.PathValue("linkedid"), pops.Clean(in.Note, maxNote)
	if len(linkedid) > 150 {
		fail(w, http.StatusBadRequest, "bad-request", "the linkedid is too long")
		return
	}
	number, call, err := d.live.Number(me.agent.ID, linkedid)
	switch {
	case errors.Is(err, pops.ErrUnclear):
		refusePop(w, err)
		return
	case err != nil:
		fail(w, http.StatusNotFound, string(control.Unknown), "you had no such call")
		return
	}
	err = d.accounts.SetNote(accounts.Note{Call: linkedid, Agent: me.agent.ID, Number: number, Note: text, At: time.Now()})
	if err != nil {
		d.broken(w, "cannot store a note", err)
		return
	}
	told := false
	if d.notes != nil {
		told = d.notes(r.Context(), linkedid, call, me.agent.Phone, text)
	}
	d.publish(me.agent.ID, "note", map[string]any{"v": 1, "linkedid": linkedid, "note": text})
	reply(w, http.StatusOK, map[string]any{"note": text, "reported": told})
}

// popOnDemand opens the page of a call because the agent asks for it.
func (d *Desk) popOnDemand(w http.ResponseWriter, r *http.Request, me *visitor) {
	var in struct {
		LinkedID string `json:"linkedid"`
		URL      string `json:"url"`
		Force    bool   `json:"force"`
	}
	who, ok := d.actor(w, me)
	if !ok || !decode(w, r, &in) {
		return
	}
	demand := pops.Demand{Agent: me.agent.ID, Sees: who.Sees, LinkedID: in.LinkedID, URL: in.URL}
	if in.Force {
		demand.Mode = pops.Force
	}
	if in.LinkedID == "" {
		fail(w, http.StatusBadRequest, "bad-request", "linkedid is missing")
		return
	}
	p, err := d.live.Demand(demand)
	if err != nil {
		refusePop(w, err)
		return
	}
	reply(w, http.StatusAccepted, map[string]string{"pop": p.ID})
}

// refusePop answers with why there is no pop on demand.
func refusePop(w http.ResponseWriter, err error) {
	code := control.State
	switch {
	case errors.Is(err, pops.ErrNoCall), errors.Is(err, pops.ErrNoAgent):
		code = control.Unknown
	case errors.Is(err, pops.ErrUnclear):
		code = control.Unclear
	case errors.Is(err, pops.ErrURL):
		code = control.BadRequest
	}
	fail(w, code.Status(), string(code), err.Error())
}

// showPop returns the parameters of a pop that is not over, for a page that got its id alone.
func (d *Desk) showPop(w http.ResponseWriter, r *http.Request, me *visitor) {
	p, params, found := d.live.Find(r.PathValue("pop"))
	if !found || p.Agent.ID != me.agent.ID {
		fail(w, http.StatusNotFound, string(control.Unknown), "there is no such pop now")
		return
	}
	reply(w, http.StatusOK, map[string]any{"pop": p.ID, "linkedid": p.LinkedID, "agent": p.Agent.ID, "rule": p.Rule, "url": p.URL, "title": p.Title, "fate": p.Life.Fate, "params": params})
}

// broken logs an error that is none of the agent's, and answers.
func (d *Desk) broken(w http.ResponseWriter, what string, err error) {
	d.limited.Error("request "+what, "request of an agent failed", "what", what, "err", err)
	fail(w, http.StatusServiceUnavailable, "error", "failed; the log has the reason")
}
