package desk

import (
	"net/http"

	"ringhook/desk/board"
	"ringhook/dialplan"
	"ringhook/pops"
)

// boardPage returns the handler of a page, which is shown only to those who may see it.
func (d *Desk) boardPage(route board.Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		me, err := d.visitor(r)
		if err != nil {
			d.noVisitor(w, r, err)
			return
		}
		if me == nil {
			d.showPage(w, r, http.StatusOK, "sign.html", view{})
			return
		}
		d.used(me)
		v, _ := d.viewer(me.agent.ID, me.name)
		f := d.frame(r, me, v)
		if !v.May(route.Role) {
			d.board.Forbidden(w, r, f)
			return
		}
		route.Page(d.board, w, r, f)
	}
}

// frame returns what a page of the board shows around its content.
func (d *Desk) frame(r *http.Request, me *visitor, v board.Viewer) *board.Frame {
	l := languageOf(r, d.current.Load().Config.Language)
	f := &board.Frame{
		Viewer: v, Tag: l.Tag, Dir: l.Dir, Texts: l.text, Assets: "/desk/assets/" + d.assets.hash, Person: pops.Clean(me.agent.Name, 80), OwnDesk: me.agent.Phone != "",
	}
	if f.Person == "" {
		f.Person = me.agent.ID
	}
	for _, code := range Languages() {
		f.Languages = append(f.Languages, board.Language{Tag: code, Name: languageNames[code]})
	}
	return f
}

// supervises reports whether an agent has the pages of supervisors.
func supervises(a *dialplan.Agent) bool {
	return a.Role == dialplan.RoleSupervisor || a.Role == dialplan.RoleAdministrator
}
