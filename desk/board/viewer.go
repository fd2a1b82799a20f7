package board

import (
	"regexp"
	"slices"
	"unicode"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
)

// Viewer is who looks at a page.
type Viewer struct {
	control.Actor
	masked bool
}

// Viewer returns the viewer of an actor; false for an agent, who sees none of the pages.
func (b *Board) Viewer(who control.Actor) (Viewer, bool) {
	v := Viewer{Actor: who, masked: b.settings.Load().Mask && who.Role != dialplan.RoleAdministrator}
	return v, v.May(dialplan.RoleSupervisor)
}

// May reports whether the viewer has a role or a higher one.
func (v *Viewer) May(role string) bool {
	return v.Role == dialplan.RoleAdministrator || v.Role == dialplan.RoleSupervisor && role == dialplan.RoleSupervisor
}

// all reports whether the viewer sees everything.
func (v *Viewer) all() bool { return v.Role == dialplan.RoleAdministrator }

// seesAgent reports whether the viewer sees an agent.
func (v *Viewer) seesAgent(a *dialplan.Agent) bool {
	return v.all() || v.Agent != "" && v.Agent == a.ID || slices.ContainsFunc(a.Queues, v.Sees)
}

// seesCall reports whether the viewer sees a call: one that was in a queue that the viewer sees.
func (v *Viewer) seesCall(c *kept.Call) bool {
	return v.all() || slices.ContainsFunc(c.Visits, func(visit kept.Visit) bool { return v.Sees(visit.Queue()) })
}

// number returns a number as the viewer may see it.
func (v *Viewer) number(s string) string {
	if !v.masked {
		return s
	}
	return mask(s)
}

// name returns the name of a caller. Some trunks send the number as the name.
func (v *Viewer) name(s string) string {
	if !v.masked {
		return s
	}
	return longNumber.ReplaceAllStringFunc(s, maskNumber)
}

// Hide changes a caller who waits into what the viewer may see.
func (v *Viewer) Hide(w *control.Waiter) {
	w.Caller, w.Name, w.Channel = v.number(w.Caller), v.name(w.Name), v.text(w.Channel)
}

// text returns a text of a trace, with the numbers in it as the viewer may see them.
func (v *Viewer) text(s string) string { return v.name(s) }

// hidden is the number of digits that are hidden.
const hidden = 3

// mask hides the last digits of a number.
func mask(s string) string { return hide(s, hidden) }

// hide replaces the last n digits.
func hide(s string, n int) string {
	r := []rune(s)
	for i := len(r) - 1; i >= 0 && n > 0; i-- {
		if unicode.IsDigit(r[i]) {
			r[i] = '•'
			n--
		}
	}
	return string(r)
}

// noNumber matches what is no number of a person: ids of calls and channels, such as 1768473741.17, and dates.
const noNumber = `\b[12]\d{9}\.\d+\b|\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b`

var (
	// longNumber matches what may be the number of a person, however it is written, and what is none.
	longNumber = regexp.MustCompile(noNumber + `|\p{Nd}[\p{Nd}\p{Zs}\p{Pd}\t().·/]*\p{Nd}`)
	isNoNumber = regexp.MustCompile(`^(?:` + noNumber + `)$`)
)

const (
	// shortest is the number of digits from which digits are masked, and longest that of the longest number: more digits
	// are several numbers, whose ends cannot be known.
	shortest = 6
	longest  = 15
)

func maskNumber(s string) string {
	digits := 0
	for _, r := range s {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	switch {
	case digits < shortest || isNoNumber.MatchString(s):
		return s
	case digits > longest:
		return hide(s, digits)
	}
	return mask(s)
}
