package desk

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/lookup/number"
	"ringhook/pops"
	accounts "ringhook/store/desk"
)

// The settings of agents that concern the page alone.
var pageSettings = map[string]func(value string) bool{
	"language": func(v string) bool { return languages[v] != nil },
	"theme":    func(v string) bool { return v == "light" || v == "dark" },
	"keys":     func(v string) bool { return v == "off" },
	"sound": func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && n >= 0 && n <= 100
	},
}

// settingsView is what the page's settings show: the agent's own, and what the rules allow.
type settingsView struct {
	Settings map[string]string `json:"settings"`
	May      []string          `json:"may"`     // names that a rule lets agents set
	Moments  []string          `json:"moments"` // events among which they choose
	Ways     []pops.Way        `json:"ways"`
	Schemes  []string          `json:"schemes"` // of programs that rules open
}

func (d *Desk) settings(w http.ResponseWriter, _ *http.Request, me *visitor) {
	own, err := d.accounts.SettingsOf(me.agent.ID)
	if err != nil {
		d.broken(w, "cannot read settings", err)
		return
	}
	reply(w, http.StatusOK, d.viewSettings(own))
}

func (d *Desk) viewSettings(own map[string]string) settingsView {
	may, moments, schemes := d.live.May()
	return settingsView{Settings: own, May: may, Moments: moments, Ways: pops.ChosenWays(), Schemes: schemes}
}

// changeSettings changes the settings of an agent. An empty value leaves the rule's, or the default.
func (d *Desk) changeSettings(w http.ResponseWriter, r *http.Request, me *visitor) {
	changes := map[string]string{}
	if !decode(w, r, &changes) {
		return
	}
	may, _, _ := d.live.May()
	for name, value := range changes {
		problem, known := pops.CheckSetting(name, value)
		fits, ours := pageSettings[name]
		switch {
		case ours:
			if value != "" && !fits(value) {
				problem = fmt.Sprintf("%q is not a value of %s", value, name)
			}
		case !known:
			problem = fmt.Sprintf("there is no setting %q", name)
		case name != pops.SettingOff && value != "" && !slices.Contains(may, name):
			fail(w, http.StatusForbidden, "forbidden", fmt.Sprintf("no rule lets agents set %s (agent_may)", name))
			return
		}
		if problem != "" {
			fail(w, http.StatusBadRequest, "bad-request", problem)
			return
		}
	}
	if len(changes) > 0 {
		if err := d.accounts.SetSettings(me.agent.ID, changes); err != nil {
			d.broken(w, "cannot store settings", err)
			return
		}
	}
	d.personalChanged()
	own, err := d.accounts.SettingsOf(me.agent.ID)
	if err != nil {
		d.broken(w, "cannot read settings", err)
		return
	}
	view := d.viewSettings(own)
	d.publish(me.agent.ID, "settings", view)
	reply(w, http.StatusOK, view)
}

// personalChanged has settings and exceptions put in force.
func (d *Desk) personalChanged() {
	if d.changed == nil {
		return
	}
	if err := d.changed(); err != nil {
		d.limited.Error("personal", "cannot put settings of agents in force", "err", err)
	}
}

// ofAll returns the handler of exceptions that are for all agents, which administrators change.
func ofAll(handle handler) handler {
	return func(w http.ResponseWriter, r *http.Request, me *visitor) {
		if me.agent.Role != dialplan.RoleAdministrator {
			fail(w, http.StatusForbidden, string(control.Forbidden), "only for administrators")
			return
		}
		all := *me
		all.agent.ID = ""
		handle(w, r, &all)
	}
}

// exceptions lists those of the agent and those of all agents, or if no agent is named those of every one.
func (d *Desk) exceptions(w http.ResponseWriter, _ *http.Request, me *visitor) {
	list, err := d.accounts.Exceptions()
	if err != nil {
		d.broken(w, "cannot read exceptions", err)
		return
	}
	own := slices.DeleteFunc(list, func(e accounts.Exception) bool { return e.Agent != "" && e.Agent != me.agent.ID && me.agent.ID != "" })
	reply(w, http.StatusOK, exceptionList{append([]accounts.Exception{}, own[:min(len(own), maxListed)]...), max(0, len(own)-maxListed)})
}

// maxListed is the maximum number of exceptions that a page lists, and maxExceptions that of one agent.
const (
	maxListed     = 500
	maxExceptions = 1000
)

// addException adds an exception of the agent.
func (d *Desk) addException(w http.ResponseWriter, r *http.Request, me *visitor) {
	var in noteText
	if !decode(w, r, &in) {
		return
	}
	pattern, ok := Exception(r.PathValue("number"), d.current.Load().Numbers)
	if !ok {
		fail(w, http.StatusBadRequest, "bad-request", "this is no number; write +4930123456, 101, or +4930* for all that begin with it")
		return
	}
	list, err := d.accounts.Exceptions()
	if err != nil {
		d.broken(w, "cannot read exceptions", err)
		return
	}
	if n := len(slices.DeleteFunc(list, func(e accounts.Exception) bool { return e.Agent != me.agent.ID })); n >= maxExceptions && me.agent.ID != "" {
		fail(w, http.StatusConflict, "state", fmt.Sprintf("an agent has at most %d exceptions", maxExceptions))
		return
	}
	e := accounts.Exception{Number: pattern, Agent: me.agent.ID, Note: pops.Clean(in.Note, 200), Who: me.name, Created: time.Now()}
	if err := d.accounts.AddExceptions(e); err != nil {
		d.broken(w, "cannot store an exception", err)
		return
	}
	d.personalChanged()
	reply(w, http.StatusOK, e)
}

// Exception returns a number that people and files write as an exception is stored: in the spelling of events. A beginning
// with * stays one. ok is false for a text that is no number, and for one that may be several.
func Exception(text string, numbers *number.Reader) (pattern string, ok bool) {
	text, prefix := strings.CutSuffix(strings.TrimSpace(text), "*")
	if numbers != nil && numbers.Several(text) {
		return "", false
	}
	if dialled, _, ok := number.Dialable(text); ok {
		text = dialled
	}
	if prefix {
		return text + "*", pops.ExceptionPattern(text + "*")
	}
	if !pops.ExceptionPattern(text) {
		return "", false
	}
	if numbers != nil {
		if read := numbers.Normalize(text).String(); read != "" {
			return read, true
		}
	}
	return text, true
}

func (d *Desk) removeException(w http.ResponseWriter, r *http.Request, me *visitor) {
	removed, err := d.accounts.RemoveException(r.PathValue("number"), me.agent.ID)
	switch {
	case err != nil:
		d.broken(w, "cannot remove an exception", err)
	case !removed:
		fail(w, http.StatusNotFound, "unknown", "there is no such exception")
	default:
		d.personalChanged()
		w.WriteHeader(http.StatusNoContent)
	}
}

// endSessionOf signs the agent out of one session.
func (d *Desk) endSessionOf(w http.ResponseWriter, r *http.Request, me *visitor) {
	ended, err := d.accounts.EndSessionOf(me.agent.ID, r.PathValue("session"))
	switch {
	case err != nil:
		d.broken(w, "cannot end a session", err)
	case !ended:
		fail(w, http.StatusNotFound, "unknown", "there is no such session")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
