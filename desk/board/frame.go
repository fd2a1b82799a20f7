package board

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"ringhook/dialplan"
)

//go:embed text/*.toml
var textFiles embed.FS

//go:embed assets/*.html
var pageFiles embed.FS

// Frame is what every page shows around its content.
type Frame struct {
	Viewer Viewer
	Tag    string // of the language
	Dir    string // ltr or rtl
	// Texts are those of the desk, by key, in the language.
	Texts     map[string]string
	Languages []Language
	Assets    string // folder of the scripts and styles
	Person    string // name of the viewer
	OwnDesk   bool   // the viewer has a page as an agent
	Page      string // name of the page
	Path      string // of the page, for the form of the language
	Data      any
}

// Language is a language that the viewer may choose.
type Language struct{ Tag, Name string }

var texts = readTexts()

// readTexts reads the texts of all languages. The files are part of the program, so a mistake in them is a bug.
func readTexts() map[string]map[string]string {
	files, err := textFiles.ReadDir("text")
	if err != nil {
		panic(err)
	}
	all := map[string]map[string]string{}
	for _, f := range files {
		data, err := textFiles.ReadFile("text/" + f.Name())
		one := map[string]string{}
		if err == nil {
			_, err = toml.Decode(string(data), &one)
		}
		if err != nil {
			panic(fmt.Sprintf("texts %s, which are part of the program: %v", f.Name(), err))
		}
		all[strings.TrimSuffix(f.Name(), ".toml")] = one
	}
	return all
}

// T returns a text by its key: the board's own, or the desk's.
func (f *Frame) T(key string) string {
	if text := texts[f.Tag][key]; text != "" {
		return text
	}
	if text := f.Texts[key]; text != "" {
		return text
	}
	return texts["en"][key]
}

var encodedTexts sync.Map // JSON by language

// JSON returns all texts for the scripts.
func (f *Frame) JSON() string {
	if text, ok := encodedTexts.Load(f.Tag); ok {
		return text.(string)
	}
	all := map[string]string{}
	for _, key := range []string{"live", "not_live", "reconnecting", "signed_out", "sign_in", "failed", "withheld", "pause", "resume", "log_in", "log_out", "hang_up", "no_reason", "static", "asleep", "asleep_hint", "show_here"} {
		all[key] = f.T(key)
	}
	for key := range texts["en"] {
		all[key] = f.T(key)
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // its types are ours
	}
	encodedTexts.Store(f.Tag, string(text))
	return string(text)
}

// Administers reports whether the viewer is an administrator.
func (f *Frame) Administers() bool { return f.Viewer.May(dialplan.RoleAdministrator) }

// With returns the frame with a value for a template that is called.
func (f *Frame) With(data any) *Frame {
	with := *f
	with.Data = data
	return &with
}

var pages = template.Must(template.New("").Funcs(functions).ParseFS(pageFiles, "assets/*.html"))

// show writes a page.
func (b *Board) show(w http.ResponseWriter, r *http.Request, f *Frame, status int, name string, data any) {
	f.Page, f.Path, f.Data = name, r.URL.RequestURI(), data
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name+".html", f); err != nil {
		b.Limited.Error("bug "+name, "bug: page cannot be made", "page", name, "err", err)
		http.Error(w, "internal error; the log has the reason", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// problem shows why a page cannot be shown.
func (b *Board) problem(w http.ResponseWriter, r *http.Request, f *Frame, status int, key string) {
	b.show(w, r, f, status, "problem", key)
}

// broken logs an error, and shows that there was one.
func (b *Board) broken(w http.ResponseWriter, r *http.Request, f *Frame, what string, err error) {
	b.Limited.Error("page "+what, "page of the desk failed", "page", what, "err", err)
	b.problem(w, r, f, http.StatusServiceUnavailable, "unavailable")
}

// Forbidden shows that the viewer may not see a page.
func (b *Board) Forbidden(w http.ResponseWriter, r *http.Request, f *Frame) {
	b.problem(w, r, f, http.StatusForbidden, "forbidden")
}
