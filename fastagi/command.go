package fastagi

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The commands that are ever sent. EXEC, DATABASE and their kind run or change
// things on the PBX, and nothing here can make one of them.
const (
	setVariable = "SET VARIABLE "
	readFull    = "GET FULL VARIABLE "
	failure     = "FAILURE\n"
)

// maxCommand bounds a command with its newline. Asterisk 16 reads into 2,048
// bytes, of which one is the final zero, and takes the rest of a longer
// command for the next one.
const maxCommand = 2047

// maxName bounds the name of a variable.
const maxName = 128

// ValidName reports whether a name can stand in a command: letters, digits and
// underscores, not beginning with a digit, at most 128 bytes; a dialplan
// function has its argument in parentheses after it, such as CALLERID(name).
func ValidName(name string) bool {
	if name == "" || len(name) > maxName || '0' <= name[0] && name[0] <= '9' {
		return false
	}
	base, arg, function := strings.Cut(name, "(")
	if function {
		var closed bool
		if arg, closed = strings.CutSuffix(arg, ")"); !closed {
			return false
		}
	}
	return base != "" && only(base, "_") && only(arg, "_,.:;/@+-")
}

// only reports whether text is made of ASCII letters, digits and those others.
func only(text, others string) bool {
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return true
}

// AppendSet appends one SET VARIABLE command with its newline, 2,047 bytes at
// most. Control characters and U+2028/9 are left out, bytes that are not UTF-8
// become U+FFFD, and a value that does not fit is cut at a rune: then cut is
// true. A name that is not a ValidName is an error, and nothing is appended.
func AppendSet(dst []byte, name, value string) (out []byte, cut bool, err error) {
	if !ValidName(name) {
		return dst, false, fmt.Errorf("set variable %.40q: not a variable's name", name)
	}
	start := len(dst)
	dst = append(dst, setVariable...)
	dst = append(dst, name...)
	dst = append(dst, ` "`...)
	end := start + maxCommand - len("\"\n")
	for i := 0; i < len(value) && !cut; {
		r, size := utf8.DecodeRuneInString(value[i:])
		i += size
		switch {
		case unsendable(r):
		case len(dst)+room(r) > end:
			cut = true
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, "\"\n"...), cut, nil
}

// unsendable holds of C0, DEL, C1 and the two line separators of Unicode.
func unsendable(r rune) bool {
	return r < ' ' || 0x7f <= r && r <= 0x9f || r == '\u2028' || r == '\u2029'
}

// room is the number of bytes that a rune takes between the quotes.
func room(r rune) int {
	if r == '"' || r == '\\' {
		return 2
	}
	return utf8.RuneLen(r)
}

// appendRead appends the command that asks for all names at once, a frame
// after each value.
func appendRead(dst []byte, frame string, names []string) ([]byte, error) {
	start := len(dst)
	dst = append(dst, readFull...)
	dst = append(dst, '"')
	for _, name := range names {
		if !ValidName(name) {
			return nil, fmt.Errorf("read %.40q: not a variable's name", name)
		}
		dst = append(dst, "${"...)
		dst = append(dst, name...)
		dst = append(dst, '}')
		dst = append(dst, frame...)
	}
	dst = append(dst, "\"\n"...)
	if len(dst)-start > maxCommand {
		return nil, errors.New("read: more names than fit a command")
	}
	return dst, nil
}

// newFrame makes what separates values in a reply: 96 random bits, so that no
// caller can put it into a name.
func newFrame() string {
	var bits [12]byte
	rand.Read(bits[:])
	return base64.RawURLEncoding.EncodeToString(bits[:])
}
