package desk

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed assets/text/*.toml
var textFiles embed.FS

// language is one language of the pages.
type language struct {
	Tag  string // such as en
	Name string // in the language itself
	Dir  string // ltr or rtl
	text map[string]string
	JSON string // all texts, for the page's script
}

// Languages returns the codes of the languages.
func Languages() []string { return []string{"en", "ru", "he", "fr"} }

var languageNames = map[string]string{"en": "English", "ru": "Русский", "he": "עברית", "fr": "Français"}

// languages by code. The files are part of the program, so a mistake in them is a bug.
var languages = readLanguages()

func readLanguages() map[string]*language {
	all := map[string]*language{}
	for _, code := range Languages() {
		l := &language{Tag: code, Name: languageNames[code], Dir: "ltr", text: map[string]string{}}
		if code == "he" {
			l.Dir = "rtl"
		}
		data, err := textFiles.ReadFile("assets/text/" + code + ".toml")
		if err == nil {
			_, err = toml.Decode(string(data), &l.text)
		}
		if err != nil {
			panic(fmt.Sprintf("language %s, which is part of the program: %v", code, err))
		}
		for key, text := range all["en"].orNone() {
			if l.text[key] == "" {
				l.text[key] = text
			}
		}
		encoded, err := json.Marshal(l.text)
		if err != nil {
			panic(err)
		}
		l.JSON = string(encoded)
		all[code] = l
	}
	return all
}

func (l *language) orNone() map[string]string {
	if l == nil {
		return nil
	}
	return l.text
}

// T returns a text by its key.
func (l *language) T(key string) string { return l.text[key] }

// languageCookie holds the language that a person chose.
const languageCookie = "ringhook-language"

// languageOf returns the language of a request: the chosen one, else the first that the browser asks for, else the
// default.
func languageOf(r *http.Request, fallback string) *language {
	if c, err := r.Cookie(languageCookie); err == nil && languages[c.Value] != nil {
		return languages[c.Value]
	}
	best, weight := "", 0.0
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		code, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if code == "iw" {
			code = "he" // the former code
		}
		w := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			w, _ = strconv.ParseFloat(value, 64)
		}
		if languages[code] != nil && w > weight {
			best, weight = code, w
		}
	}
	if best == "" {
		best = fallback
	}
	return languages[best]
}

//go:embed assets/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "assets/*.html"))
