package dialplan

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ringhook/fastagi"
)

// TestNameForm checks the scripts and the limits of names.
func TestNameForm(t *testing.T) {
	f := func(form nameForm, name, want string) {
		t.Helper()
		if got := form.text(name); got != want {
			t.Errorf("%+v: %q becomes %q, want %q", form, name, got, want)
		}
	}
	f(nameForm{}, "Жанна", "Жанна")
	f(nameForm{script: scriptUTF8}, "\u200fשלום", "\u200fשלום")
	f(nameForm{script: scriptLatin}, "Жанна Щукина", "Zhanna Shchukina")
	f(nameForm{script: scriptLatin}, "Zoë Müller, Čapek", "Zoë Müller, Čapek")
	f(nameForm{script: scriptLatin}, "Zoe\u0308 Ελένη", "Zoë Elene")
	f(nameForm{script: scriptASCII}, "Zoë Müller, Čapek – Łódź", "Zoe Muller, Capek - Lodz")
	f(nameForm{script: scriptASCII}, "\u200f\u202bשלום\u202c עולם\u200e", "SHlvm `vlm")
	f(nameForm{script: scriptASCII}, "北京 大学", "Bei Jing Da Xue")
	f(nameForm{script: scriptASCII}, "🦄", "")
	f(nameForm{characters: 4}, "Zoë Müller", "Zoë")
	f(nameForm{characters: 5}, "Zoë Müller", "Zoë M")
	f(nameForm{bytes: 10}, "Карл Иванов", "Карл")
	f(nameForm{bytes: 11}, "Карл Иванов", "Карл И")
	f(nameForm{bytes: 40, characters: 3}, "Карл Иванов", "Кар")
	f(nameForm{bytes: 3}, "ab\u0301c", "a")                                          // b with an accent stays whole
	f(nameForm{bytes: 6}, "👩\u200d👩\u200d👧", "👩")                                    // larger than all that fits: split after all
	f(nameForm{bytes: 1}, "ж", "")                                                   // not half a letter
	f(nameForm{script: scriptLatin, bytes: 9}, "Жанна Щукина", "Zhanna Sh")          // cut after the transliteration
	f(nameForm{script: scriptASCII}, "a\u2028b\u00a0c", "a b c")                     // blanks of all kinds
	f(nameForm{bytes: 5}, strings.Repeat("e\u0301\u0301\u0301", 2), "e\u0301\u0301") // nothing else fits
}

// TestNameFormOf checks which setting applies to a point.
func TestNameFormOf(t *testing.T) {
	s := newSettings(Settings{
		Dialplan: Config{NameScript: scriptLatin, NameLimit: 30, NameBytes: 50},
		Queues:   []Queue{{ID: "500", NameScript: scriptASCII, NameBytes: 45}, {ID: "501"}},
		Agents:   []Agent{{Phone: "101", NameScript: scriptUTF8}, {Phone: "102", NameBytes: 20}},
	})
	f := func(want nameForm, args ...string) {
		t.Helper()
		env := &fastagi.Env{Point: string(AgentDial), UniqueID: "1.1", Args: append(args, "agent_phone=9")}
		for _, arg := range args {
			if strings.HasPrefix(arg, "agent_phone=") {
				env.Args = args
			}
		}
		r, err := parseRequest(env, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := &transition{request: r, call: newCall(Identity{LinkedID: "1.1"}, oneDay), settings: s}
		if got := tr.nameForm(); got != want {
			t.Errorf("%q: got %+v, want %+v", args, got, want)
		}
	}
	f(nameForm{scriptLatin, 30, 50})
	f(nameForm{scriptASCII, 30, 45}, "queue_id=500")
	f(nameForm{scriptLatin, 30, 50}, "queue_id=501")
	f(nameForm{scriptUTF8, 30, 45}, "queue_id=500", "agent_phone=101")
	f(nameForm{scriptASCII, 30, 20}, "queue_id=500", "agent_phone=102")
	f(nameForm{scriptUTF8, 30, 38}, "queue_id=500", "name_script=utf-8", "name_bytes=38")
	f(nameForm{scriptASCII, 30, 45}, "queue_id=500", "name_script=UTF-16", "name_bytes=400")
	f(nameForm{scriptASCII, 30, 45}, "queue_id=500", "name_script=", "name_bytes=-3")
}

// TestNameShape checks that only the name is changed, and that an empty one is not set.
func TestNameShape(t *testing.T) {
	vars := func() []fastagi.Variable {
		return []fastagi.Variable{{Name: "QUEUE_PRIO", Value: "7"}, {Name: callerName, Value: "🦄"}, {Name: "__call_info", Value: "🦄"}}
	}
	if got := (nameForm{script: scriptASCII}).shape(vars()); len(got) != 2 || got[0].Name != "QUEUE_PRIO" || got[1].Value != "🦄" {
		t.Errorf("got %+v", got)
	}
	if got := (nameForm{bytes: 4}).shape(vars()); len(got) != 3 || got[1].Value != "🦄" {
		t.Errorf("got %+v", got)
	}
}

// FuzzNameForm checks that a name in any form keeps the limits and is valid.
func FuzzNameForm(f *testing.F) {
	f.Add("Жанна\u200f Zoe\u0308 🦄👩\u200d👩\u200d👧", int64(3), int64(7), 1)
	f.Fuzz(func(t *testing.T, name string, characters, bytes int64, script int) {
		form := nameForm{scripts[uint(script)%3], max(0, characters), max(0, bytes)}
		got := form.text(strings.ToValidUTF8(name, "\uFFFD"))
		if !utf8.ValidString(got) || form.bytes > 0 && int64(len(got)) > form.bytes || form.characters > 0 && int64(utf8.RuneCountInString(got)) > form.characters {
			t.Errorf("%+v: %q becomes %q", form, name, got)
		}
		if form.script == scriptASCII && strings.ContainsFunc(got, func(c rune) bool { return c >= utf8.RuneSelf }) {
			t.Errorf("%q is not ASCII", got)
		}
	})
}
