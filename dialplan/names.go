package dialplan

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mozillazg/go-unidecode"
	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"

	"ringhook/fastagi"
)

// The scripts in which a name can be set on the channel, the values of name_script.
const (
	scriptUTF8  = "utf-8" // as the lookup returned it
	scriptLatin = "latin" // other scripts are transliterated; Latin letters keep their accents
	scriptASCII = "ascii" // ASCII only
)

var scripts = []string{scriptUTF8, scriptLatin, scriptASCII}

// The arguments by which a point overrides the script and limits the bytes of the name.
const (
	nameScriptArgument = "name_script"
	nameBytesArgument  = "name_bytes"
)

// nameForm is the form in which CALLERID(name) is set on the channel: what the phones can show of it, and
// what the PBX keeps. Events have the name as the lookup returned it. The zero value changes nothing.
type nameForm struct {
	script     string // one of scripts; empty is that of the more general form
	characters int64  // maximum number of characters; 0 is no limit
	bytes      int64  // the same in bytes
}

// under returns the form with what a more specific one sets.
func (f nameForm) under(script string, bytes int64) nameForm {
	if script != "" {
		f.script = script
	}
	if bytes > 0 {
		f.bytes = bytes
	}
	return f
}

// nameForm returns the form of a name that the point sets: that of the agent before that of the queue
// before that of [dialplan]. The argument name_bytes can only make it shorter: it is what the PBX keeps.
func (t *transition) nameForm() nameForm {
	q, a := t.settings.queues[t.queueID()], t.settings.agents[t.phone()]
	f := t.settings.names.under(q.NameScript, q.NameBytes).under(a.NameScript, a.NameBytes)
	if script := t.args[nameScriptArgument]; slices.Contains(scripts, script) {
		f.script = script
	}
	if n, ok := t.integerArg(nameBytesArgument); ok && n > 0 && (f.bytes == 0 || n < f.bytes) {
		f.bytes = n
	}
	return f
}

// shape changes CALLERID(name) among the variables of an answer to the form. A name of which nothing is
// left is not set.
func (f nameForm) shape(vars []fastagi.Variable) []fastagi.Variable {
	i := slices.IndexFunc(vars, func(v fastagi.Variable) bool { return v.Name == callerName })
	if i < 0 || f == (nameForm{}) {
		return vars
	}
	vars[i].Value = f.text(vars[i].Value)
	if vars[i].Value == "" {
		return slices.Delete(vars, i, i+1)
	}
	return vars
}

// text returns a name in the form.
func (f nameForm) text(name string) string {
	if f.script == scriptLatin || f.script == scriptASCII {
		name = transliterate(name, f.script == scriptLatin)
	}
	return f.cut(name)
}

// transliterate returns a name in Latin letters. Marks without a shape of their own, such as those of the
// direction of text, are removed.
func transliterate(name string, accents bool) string {
	var b strings.Builder
	for _, c := range norm.NFC.String(name) {
		switch {
		case c < utf8.RuneSelf, accents && unicode.Is(unicode.Latin, c):
			b.WriteRune(c)
		case unicode.In(c, unicode.Cf, unicode.Variation_Selector):
		default:
			b.WriteString(unidecode.Unidecode(string(c)))
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// cut returns the part of a name that fits. It does not split a character from its accents, unless
// nothing else fits.
func (f nameForm) cut(name string) string {
	fits := func(s string) bool {
		return (f.bytes == 0 || int64(len(s)) <= f.bytes) && (f.characters == 0 || int64(utf8.RuneCountInString(s)) <= f.characters)
	}
	if fits(name) {
		return name
	}
	end := 0
	for rest, state := name, -1; rest != ""; {
		var one string
		one, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if !fits(name[:end+len(one)]) {
			break
		}
		end += len(one)
	}
	if end == 0 {
		for i, c := range name {
			if !fits(name[:i+utf8.RuneLen(c)]) {
				break
			}
			end = i + utf8.RuneLen(c)
		}
	}
	return strings.TrimRight(name[:end], " ")
}

// checkNames reports settings of names that cannot work.
func checkNames(script string, bytes int64, report func(key, problem string)) {
	if script != "" && !slices.Contains(scripts, script) {
		report("name_script", fmt.Sprintf("must be one of %s", strings.Join(scripts, ", ")))
	}
	if bytes < 0 {
		report("name_bytes", "must be a number of bytes, or 0 for no limit")
	}
}
