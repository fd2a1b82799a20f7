package desk

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"ringhook/desk/board"
	"ringhook/pops"
)

//go:embed assets/*.js assets/*.css assets/*.svg
var assetFiles embed.FS

// assetFolders have the files of all pages.
var assetFolders = []embed.FS{assetFiles, board.Assets}

// assets are the files of the pages. Their folder is named after their content, so that browsers may keep them.
type assets struct {
	hash  string
	files map[string][]byte
}

func readAssets() (*assets, error) {
	a := &assets{files: map[string][]byte{}}
	sum := sha256.New()
	for _, folder := range assetFolders {
		list, err := folder.ReadDir("assets")
		if err != nil {
			return nil, fmt.Errorf("read the desk's files: %w", err)
		}
		for _, f := range list {
			data, err := folder.ReadFile("assets/" + f.Name())
			if err != nil {
				return nil, fmt.Errorf("read the desk's files: %w", err)
			}
			a.files[f.Name()] = data
			sum.Write(data)
		}
	}
	a.hash = hex.EncodeToString(sum.Sum(nil))[:12]
	return a, nil
}

// contentTypes are those of the files. They do not depend on the system.
var contentTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

// asset serves a file of the pages.
func (d *Desk) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, ok := d.assets.files[name]
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	if r.PathValue("hash") == d.assets.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(data)
}

// view is what the templates show.
type view struct {
	*language
	Languages []*language
	Assets    string // folder of the files
	Agent     string // id
	Person    string // name of the agent
	Code      string // of an invitation
	Problem   string // key of a text
	// Supervises reports whether the agent has the pages of supervisors.
	Supervises bool
}

// showTemplate writes a page of values.
func (d *Desk) showTemplate(w http.ResponseWriter, r *http.Request, name string, v *varsView) {
	d.prepareView(r, &v.view)
	d.writePage(w, http.StatusOK, name, v)
}

// prepareView fills in what all pages show.
func (d *Desk) prepareView(r *http.Request, v *view) {
	v.language = languageOf(r, d.current.Load().Config.Language)
	v.Assets = "/desk/assets/" + d.assets.hash
	for _, code := range Languages() {
		v.Languages = append(v.Languages, languages[code])
	}
}

// showPage writes a page.
func (d *Desk) showPage(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	d.prepareView(r, &v)
	d.writePage(w, status, name, v)
}

func (d *Desk) writePage(w http.ResponseWriter, status int, name string, v any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		d.limited.Error("page", "bug: page cannot be made", "page", name, "err", err)
		http.Error(w, "internal error; the log has the reason", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// page serves the agent's page, or the sign-in.
func (d *Desk) page(w http.ResponseWriter, r *http.Request) {
	me, err := d.visitor(r)
	switch {
	case err != nil:
		d.noVisitor(w, r, err)
	case me == nil:
		d.showPage(w, r, http.StatusOK, "sign.html", view{})
	default:
		d.used(me)
		if supervises(&me.agent) && me.agent.Phone == "" {
			http.Redirect(w, r, "/desk/live", http.StatusSeeOther)
			return
		}
		if own, err := d.accounts.SettingsOf(me.agent.ID); err == nil && languages[own["language"]] != nil {
			r.AddCookie(&http.Cookie{Name: languageCookie, Value: own["language"]}) // counts if the browser has none
		}
		d.showPage(w, r, http.StatusOK, "agent.html", view{Agent: me.agent.ID, Person: pops.Clean(me.agent.Name, 80), Supervises: supervises(&me.agent)})
	}
}

// noVisitor shows why it is not known who asks for a page.
func (d *Desk) noVisitor(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errGuesses) {
		d.showPage(w, r, http.StatusTooManyRequests, "sign.html", view{Problem: "too_many"})
		return
	}
	d.limited.Error("session", "cannot read a session", "err", err)
	d.showUnavailable(w, r, failure(err), "")
}

// showUnavailable shows that no agent can sign in now, and whether that is because PostgreSQL is away.
func (d *Desk) showUnavailable(w http.ResponseWriter, r *http.Request, outcome, agent string) {
	problem := "unavailable"
	if outcome == away {
		problem = "database_away"
	}
	d.showPage(w, r, http.StatusServiceUnavailable, "sign.html", view{Problem: problem, Agent: agent})
}

// window serves the blank page of the window for pops. It forgets the desk that opened it, except for a frame without
// scripts, so that the page that is shown there later cannot reach the desk. With a Cross-Origin-Opener-Policy the desk
// would lose the window.
func (d *Desk) window(w http.ResponseWriter, r *http.Request) {
	w.Header().Del("Cross-Origin-Opener-Policy")
	d.showPage(w, r, http.StatusOK, "window.html", view{})
}

// enter signs an agent in.
func (d *Desk) enter(w http.ResponseWriter, r *http.Request) {
	agent, password := r.PostFormValue("agent"), r.PostFormValue("password")
	outcome := d.signIn(r.Context(), agent, password, d.addressOf(r))
	if outcome == signedIn {
		if err := d.begin(w, r, agent); err != nil {
			d.limited.Error("sign-in", "cannot store a session", "err", err)
			outcome = failure(err)
		}
	}
	d.metrics.signIns.WithLabelValues(outcome).Inc()
	switch outcome {
	case signedIn:
		http.Redirect(w, r, "/desk/", http.StatusSeeOther)
	case throttled:
		d.showPage(w, r, http.StatusTooManyRequests, "sign.html", view{Problem: "too_many", Agent: agent})
	case wrong:
		d.showPage(w, r, http.StatusUnauthorized, "sign.html", view{Problem: "wrong", Agent: agent})
	default:
		d.showUnavailable(w, r, outcome, agent)
	}
}

// exit signs an agent out.
func (d *Desk) exit(w http.ResponseWriter, r *http.Request) {
	d.endOwn(w, r)
	http.Redirect(w, r, "/desk/", http.StatusSeeOther)
}

// endOwn ends the session of a request.
func (d *Desk) endOwn(w http.ResponseWriter, r *http.Request) {
	cur := d.current.Load()
	if cookie, err := r.Cookie(cur.cookieName()); err == nil {
		if err := d.accounts.EndSession(cookie.Value); err != nil {
			d.limited.Error("sign-out", "cannot end a session", "err", err)
		}
	}
	http.SetCookie(w, cur.cookie("", -time.Second))
}

// invitation serves the page on which an invited agent sets a password.
func (d *Desk) invitation(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	agent, valid, err := d.accounts.Invited(code, time.Now())
	a, known := d.agent(agent)
	switch {
	case err != nil:
		d.limited.Error("invitation", "cannot read an invitation", "err", err)
		d.showUnavailable(w, r, failure(err), "")
	case !valid || !known:
		d.showPage(w, r, http.StatusNotFound, "sign.html", view{Problem: "invalid_link"})
	default:
		d.showPage(w, r, http.StatusOK, "invite.html", view{Code: code, Agent: agent, Person: pops.Clean(a.Name, 80)})
	}
}

// accept sets the password of an invited agent, and signs the agent in.
func (d *Desk) accept(w http.ResponseWriter, r *http.Request) {
	code, password := r.PostFormValue("code"), r.PostFormValue("password")
	if password != r.PostFormValue("repeat") {
		password = "" // not acceptable
	}
	switch agent, outcome := d.acceptInvitation(w, r, code, password); outcome {
	case accepted:
		http.Redirect(w, r, "/desk/", http.StatusSeeOther)
	case throttled:
		d.showPage(w, r, http.StatusTooManyRequests, "sign.html", view{Problem: "too_many"})
	case badPassword:
		d.showPage(w, r, http.StatusUnprocessableEntity, "invite.html", view{Code: code, Agent: agent, Problem: "bad_password"})
	case notInvited:
		d.showPage(w, r, http.StatusNotFound, "sign.html", view{Problem: "invalid_link"})
	default:
		d.showUnavailable(w, r, outcome, "")
	}
}

// chooseLanguage stores the language that a person chose.
func (d *Desk) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	if l := languages[r.PostFormValue("language")]; l != nil {
		http.SetCookie(w, &http.Cookie{
			Name: languageCookie, Value: l.Tag, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true,
			Secure: d.current.Load().url.Scheme == "https", SameSite: http.SameSiteLaxMode,
		})
	}
	to := r.PostFormValue("to")
	if u, err := url.Parse(to); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, "/desk/") || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		to = "/desk/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
