package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ringhook/dialplan"
)

type completionCmd struct{}

// Run prints a script that completes command lines in bash.
func (completionCmd) Run(k *kong.Context, s *streams) error {
	_, err := io.WriteString(s.out, completion(k.Model))
	return err
}

// The script finds out which command the words before the cursor name, and what
// may follow it. The verbs are the cases of the three questions: which words follow a
// command, which options take a value, and which values these are.
const completionScript = `# Completes the commands and options of ringhook in bash.
# In zsh: autoload -U +X bashcompinit && bashcompinit, and then this file.
_ringhook() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= word i
	_ringhook_words() {
		case $1 in
%s		esac
	}
	_ringhook_takes_value() {
		case $1 in
		%s) return 0 ;;
		esac
		return 1
	}
	_ringhook_values() {
		case $1 in
%s		esac
	}
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if _ringhook_takes_value "$word"; then
			((i++))
		elif [[ " $(_ringhook_words "$path") " == *" $word "* && $word != -* ]]; then
			path=${path:+$path }$word
		fi
	done
	if _ringhook_takes_value "$prev"; then
		word=$(_ringhook_values "$path $prev")
	else
		word="$(_ringhook_words "$path") $(_ringhook_values "$path ")"
	fi
	COMPREPLY=()
	case " $word " in
	*" FILE "*)
		word=${word//FILE/}
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
		;;
	esac
	COMPREPLY+=($(compgen -W "$word" -- "$cur"))
}
complete -F _ringhook ringhook
`

func completion(m *kong.Application) string {
	var follow, values strings.Builder
	var valued []string
	option := func(path string, f *kong.Flag) (names []string) {
		names = []string{"--" + f.Name}
		if f.Short != 0 {
			names = append(names, "-"+string(f.Short))
		}
		if f.IsBool() {
			return names
		}
		valued = append(valued, names...)
		if v := completions(f.Value); v != "" {
			for _, name := range names {
				fmt.Fprintf(&values, "\t\t%q) echo %q ;;\n", strings.TrimSpace(path)+" "+name, v)
			}
		}
		return names
	}
	var global []string
	for _, f := range m.Flags {
		global = append(global, option("*", f)...)
	}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		list := slices.Clone(global)
		if n != m.Node {
			for _, f := range n.Flags {
				list = append(list, option(words(n), f)...)
			}
		}
		for _, child := range n.Children {
			if !child.Hidden {
				list = append(list, child.Name)
				walk(child)
			}
		}
		for _, p := range n.Positional {
			if v := completions(p); v != "" {
				fmt.Fprintf(&values, "\t\t%q) echo %q ;;\n", words(n)+" ", v)
			}
		}
		fmt.Fprintf(&follow, "\t\t%q) echo %q ;;\n", words(n), strings.Join(list, " "))
	}
	walk(m.Node)
	slices.Sort(valued)
	// A * has to stand outside the quotes.
	cases := strings.ReplaceAll(values.String(), `"* `, `*" `)
	return fmt.Sprintf(completionScript, follow.String(), strings.Join(slices.Compact(valued), "|"), cases)
}

// completions are the words that a value may be, FILE for files, or nothing.
func completions(v *kong.Value) string {
	switch {
	case v.Enum != "":
		return strings.Join(v.EnumSlice(), " ")
	case v.Name == "point":
		return strings.Join(dialplan.Points(), " ")
	case v.Name == "file" || v.Flag != nil && v.Flag.PlaceHolder == "FILE":
		return "FILE"
	}
	return ""
}
