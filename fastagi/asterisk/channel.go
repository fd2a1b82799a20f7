package asterisk

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"strings"

	"ringhook/fastagi"
)

// commandBuffer is what Asterisk 16 reads a command into (AGI_BUF_LEN).
const commandBuffer = 2048

// Channel does to its variables what Asterisk's AGI commands do.
type Channel struct {
	values map[string]string
	Set    []fastagi.Variable // in the order in which they were set
}

// NewChannel makes a channel with the variables of a request, and those that its environment implies.
func NewChannel(req *CallRequest) *Channel {
	e := &req.Env
	values := map[string]string{
		"UNIQUEID": e.UniqueID, "CHANNEL": e.Channel, "CHANNEL(name)": e.Channel,
		"CHANNEL(uniqueid)": e.UniqueID, "CHANNEL(linkedid)": e.UniqueID,
		"CALLERID(num)": e.CallerNum, "CALLERID(name)": e.CallerName,
		"CALLERID(dnid)": e.DNID, "CALLERID(rdnis)": e.RDNIS,
		"CONTEXT": e.Context, "EXTEN": e.Extension, "PRIORITY": e.Priority,
	}
	maps.Copy(values, req.Variables)
	return &Channel{values: values}
}

// ReadCommand reads one command the way Asterisk does: up to its newline, or
// until the buffer is full, and then the rest is taken for another command.
func ReadCommand(in *bufio.Reader, buffer int) (string, error) {
	var command []byte
	for len(command) < buffer-1 {
		b, err := in.ReadByte()
		if errors.Is(err, io.EOF) && len(command) > 0 {
			break
		}
		if err != nil {
			return "", err
		}
		if b == '\n' {
			break
		}
		command = append(command, b)
	}
	return string(command), nil
}

// SplitCommand cuts a command into words by the rules of parse_args in
// res_agi.c: blanks separate, double quotes keep blanks, a backslash makes the
// next byte ordinary.
func SplitCommand(command string) []string {
	var words []string
	var word []byte
	quoted, escaped, within := false, false, false
	for _, c := range []byte(command) {
		switch {
		case c == '"' && !escaped:
			quoted = !quoted
			within = within || quoted
		case (c == ' ' || c == '\t') && !quoted && !escaped:
			if within {
				words, word, within = append(words, string(word)), word[:0], false
			}
		case c == '\\' && !escaped:
			escaped = true
		default:
			word, within, escaped = append(word, c), true, false
		}
	}
	if within {
		words = append(words, string(word))
	}
	return words
}

// Execute runs one command and returns the reply with its newline.
func (ch *Channel) Execute(command string) string {
	words := SplitCommand(command)
	is := func(name ...string) bool {
		if len(words) < len(name) {
			return false
		}
		for i, word := range name {
			if !strings.EqualFold(words[i], word) {
				return false
			}
		}
		return true
	}
	switch {
	case is("set", "variable") && len(words) == 4:
		ch.assign(words[2], words[3])
		return "200 result=1\n"
	case is("get", "variable") && len(words) == 3:
		if value, ok := ch.values[words[2]]; ok {
			return "200 result=1 (" + value + ")\n"
		}
		return "200 result=0\n"
	case is("get", "full", "variable") && (len(words) == 4 || len(words) == 5):
		return "200 result=1 (" + ch.expand(words[3]) + ")\n"
	case is("noop"):
		return "200 result=0\n"
	case is("verbose") && len(words) > 1:
		return "200 result=1\n"
	case is("set", "variable"), is("get", "variable"), is("get", "full", "variable"), is("verbose"):
		return "520-Invalid command syntax.  Proper usage follows:\nUsage: see the command's documentation\n520 End of proper usage.\n"
	}
	return "510 Invalid or unknown command\n"
}

// assign sets a variable; underscores in front only make it inherited.
func (ch *Channel) assign(name, value string) {
	ch.Set = append(ch.Set, fastagi.Variable{Name: name, Value: value})
	ch.values[strings.TrimPrefix(strings.TrimPrefix(name, "_"), "_")] = value
}

// expand puts values in place of every ${NAME}, from within outwards; an
// unknown one becomes nothing.
func (ch *Channel) expand(text string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		depth, end := 1, 0
		for end < len(after) && depth > 0 {
			switch after[end] {
			case '{':
				depth++
			case '}':
				depth--
			}
			end++
		}
		out.WriteString(ch.values[ch.expand(strings.TrimSuffix(after[:end], "}"))])
		text = after[end:]
	}
}
