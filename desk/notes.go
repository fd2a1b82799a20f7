package desk

import (
	"errors"
	"net/http"
	"time"

	"ringhook/control"
	"ringhook/pops"
	accounts "ringhook/store/desk"
)

// maxNote is the maximum length of a note, in characters.
const maxNote = 2000

// note stores what the agent wrote about a call, and reports it as an event while the call is known.
func (d *Desk) note(w http.ResponseWriter, r *http.Request, me *visitor) {
	var in noteText
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
		fail(w, http.StatusConflict, string(control.Unclear), err.Error())
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
	reply(w, http.StatusOK, noteStored{text, told})
}

// showPop returns the parameters of a pop that is not over, for a page that got its id alone. Links to recordings are without
// their secrets.
func (d *Desk) showPop(w http.ResponseWriter, r *http.Request, me *visitor) {
	p, params, found := d.live.Find(r.PathValue("pop"))
	if !found || p.Agent.ID != me.agent.ID {
		fail(w, http.StatusNotFound, string(control.Unknown), "there is no such pop now")
		return
	}
	reply(w, http.StatusOK, popParams{p.ID, p.LinkedID, p.Agent.ID, p.Rule, p.URL, p.Title, p.Life.Fate, d.current.Load().Board.Links.Params(params)})
}

// broken logs an error that is none of the agent's, and answers.
func (d *Desk) broken(w http.ResponseWriter, what string, err error) {
	d.limited.Error("request "+what, "request of an agent failed", "what", what, "err", err)
	unavailable(w, failure(err))
}
