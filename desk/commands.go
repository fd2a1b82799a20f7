package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ringhook/control"
)

// commandTime is the maximum time of a command to the PBX.
const commandTime = 15 * time.Second

// actor returns who sends a command.
func (d *Desk) actor(w http.ResponseWriter, me *visitor) (control.Actor, bool) {
	who, err := d.control.AgentActor(me.agent.ID, me.name)
	if err != nil {
		d.refuse(w, err)
		return who, false
	}
	return who, true
}

// refuse answers with why a command was not carried out.
func (d *Desk) refuse(w http.ResponseWriter, err error) {
	var known *control.Error
	if !errors.As(err, &known) {
		d.limited.Error("command", "command of a desk failed", "err", err)
		fail(w, http.StatusInternalServerError, string(control.Broken), "failed; the log has the reason")
		return
	}
	fail(w, known.Code.Status(), string(known.Code), known.Text)
}

// results answers with the results of a command on queues, and shows the agent's new state at once.
func (d *Desk) results(w http.ResponseWriter, me *visitor, r control.Results, err error) {
	if err != nil {
		d.refuse(w, err)
		return
	}
	d.refresh(me.agent.ID)
	reply(w, r.Status(), r)
}

// login logs the agent in to queues.
func (d *Desk) login(w http.ResponseWriter, r *http.Request, me *visitor) {
	in := control.LoginRequest{}
	if who, ok := d.actor(w, me); ok && decode(w, r, &in) {
		in.Agent = me.agent.ID
		ctx, cancel := context.WithTimeout(r.Context(), commandTime)
		defer cancel()
		done, err := d.control.Login(ctx, who, in)
		d.results(w, me, done, err)
	}
}

// logout logs the agent out of queues.
func (d *Desk) logout(w http.ResponseWriter, r *http.Request, me *visitor) {
	in := control.LoginRequest{}
	if who, ok := d.actor(w, me); ok && decode(w, r, &in) {
		in.Agent = me.agent.ID
		ctx, cancel := context.WithTimeout(r.Context(), commandTime)
		defer cancel()
		done, err := d.control.Logout(ctx, who, in)
		d.results(w, me, done, err)
	}
}

// pause pauses the agent.
func (d *Desk) pause(w http.ResponseWriter, r *http.Request, me *visitor) {
	in := control.PauseRequest{}
	if who, ok := d.actor(w, me); ok && decode(w, r, &in) {
		in.Agent = me.agent.ID
		ctx, cancel := context.WithTimeout(r.Context(), commandTime)
		defer cancel()
		done, err := d.control.Pause(ctx, who, in)
		d.results(w, me, done, err)
	}
}

// resume ends the agent's pause.
func (d *Desk) resume(w http.ResponseWriter, r *http.Request, me *visitor) {
	if who, ok := d.actor(w, me); ok {
		ctx, cancel := context.WithTimeout(r.Context(), commandTime)
		defer cancel()
		done, err := d.control.Resume(ctx, who, control.PauseRequest{Agent: me.agent.ID})
		d.results(w, me, done, err)
	}
}

// onCall returns the handler of a command on one of the agent's calls.
func (d *Desk) onCall(do func(*control.Control, context.Context, control.Actor, control.CallRequest) (control.CallResult, error)) func(http.ResponseWriter, *http.Request, *visitor) {
	return func(w http.ResponseWriter, r *http.Request, me *visitor) {
		in := control.CallRequest{}
		if who, ok := d.actor(w, me); ok && decode(w, r, &in) {
			in.Agent, in.LinkedID = me.agent.ID, r.PathValue("linkedid")
			ctx, cancel := context.WithTimeout(r.Context(), commandTime)
			defer cancel()
			done, err := do(d.control, ctx, who, in)
			d.refresh(me.agent.ID)
			if err != nil {
				d.refuse(w, err)
				return
			}
			reply(w, http.StatusOK, done)
		}
	}
}
