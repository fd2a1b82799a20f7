package amitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Accounts plays pjsip_wizard.conf as Asterisk was measured to change it: UpdateConfig, GetConfig, and what the accounts of
// the file are worth to DEVICE_STATE and DIALPLAN_EXISTS after a reload. Make one with NewAccounts.
type Accounts struct {
	// Templates are the sections that accounts can inherit.
	Templates []string

	mu     sync.Mutex
	file   map[string]map[string]string // sections of the file; guarded by mu
	loaded map[string]map[string]string // those of the last reload; guarded by mu
	extens map[string]bool              // extensions such as phones,201; guarded by mu
	broken bool                         // reloads do nothing; guarded by mu
}

// NewAccounts returns an empty file with the template phone, and has the server answer UpdateConfig and GetConfig from it.
// Getvar is answered by the caller, with Value.
func NewAccounts(s *Server) *Accounts {
	a := &Accounts{Templates: []string{"phone"}, file: map[string]map[string]string{}, loaded: map[string]map[string]string{}, extens: map[string]bool{}}
	s.AnswerFunc("UpdateConfig", func(r *Request) string { return a.answer(a.update(r)) })
	s.AnswerFunc("Reload", func(*Request) string { a.mu.Lock(); defer a.mu.Unlock(); a.reload(); return a.answer("") })
	s.AnswerFunc("GetConfig", a.config)
	return a
}

// Break has reloads do nothing from now on.
func (a *Accounts) Break() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = true
}

// Section returns a section of the file, nil if there is none.
func (a *Accounts) Section(name string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.file[name])
}

// Value returns the value of DEVICE_STATE of an account, or of DIALPLAN_EXISTS in the context accounts; known is false for
// anything else.
func (a *Accounts) Value(function string) (value string, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name, ok := strings.CutPrefix(function, "DEVICE_STATE(PJSIP/"); ok {
		if a.loaded[strings.TrimSuffix(name, ")")] != nil {
			return "UNAVAILABLE", true
		}
		return "INVALID", false
	}
	if place, ok := strings.CutPrefix(function, "DIALPLAN_EXISTS(accounts,"); ok {
		if a.extens["accounts,"+strings.TrimSuffix(place, ",1)")] {
			return "1", true
		}
		return "0", true
	}
	return "", false
}

func (a *Accounts) answer(fault string) string {
	if fault != "" {
		return Text("Response: Error", "ActionID: {id}", "Message: "+fault)
	}
	return Text("Response: Success", "ActionID: {id}")
}

// update carries out the steps of an UpdateConfig, all or none, and returns why not.
func (a *Accounts) update(r *Request) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Get("SrcFilename") != "pjsip_wizard.conf" || r.Get("DstFilename") != "pjsip_wizard.conf" {
		return "Config file not found"
	}
	next := map[string]map[string]string{}
	for name, section := range a.file {
		next[name] = maps.Clone(section)
	}
	for n := 0; r.Get(fmt.Sprintf("Action-%06d", n)) != ""; n++ {
		get := func(key string) string { return r.Get(fmt.Sprintf("%s-%06d", key, n)) }
		section := next[get("Cat")]
		_, has := section[get("Var")]
		switch action := get("Action"); {
		case action == "NewCat" && (section != nil || !slices.Contains(a.Templates, strings.Trim(strings.TrimPrefix(get("Options"), "inherit="), `"`))):
			return "Create category did not complete successfully"
		case action == "NewCat":
			next[get("Cat")] = map[string]string{}
		case action == "DelCat" && section == nil:
			return "Delete category did not complete successfully"
		case action == "DelCat":
			delete(next, get("Cat"))
		case section == nil, action != "Append" && !has:
			return action + " did not complete successfully"
		case action == "Delete":
			delete(section, get("Var"))
		default:
			section[get("Var")] = get("Value")
		}
	}
	a.file = next
	if r.Get("Reload") != "" {
		a.reload()
	}
	return ""
}

// reload reads the file again. A section is compared with that of the last reload by the keys that it had then, and the
// extension that it had stays, unless has_hint is no.
func (a *Accounts) reload() {
	if a.broken {
		return
	}
	for name, was := range a.loaded {
		if a.file[name] == nil {
			delete(a.extens, was["hint_context"]+","+was["hint_exten"])
			delete(a.loaded, name)
		}
	}
	for name, section := range a.file {
		was, changed := a.loaded[name], a.loaded[name] == nil
		for key, value := range was {
			changed = changed || section[key] != value
		}
		if !changed {
			continue
		}
		a.loaded[name] = maps.Clone(section)
		if place := section["hint_context"] + "," + section["hint_exten"]; section["hint_exten"] != "" {
			a.extens[place] = section["has_hint"] == "yes"
		}
	}
}

func (a *Accounts) config(r *Request) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := []string{"Response: Success", "ActionID: {id}"}
	if section := a.file[r.Get("Category")]; section != nil {
		lines = append(lines, "Category-000000: "+r.Get("Category"))
		for i, key := range slices.Sorted(maps.Keys(section)) {
			lines = append(lines, fmt.Sprintf("Line-000000-%06d: %s=%s", i, key, section[key]))
		}
	}
	return Text(lines...)
}
