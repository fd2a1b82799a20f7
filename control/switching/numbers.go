package switching

import (
	"errors"
	"fmt"
	"path"
	"regexp"

	"ringhook/lookup/number"
	"ringhook/pattern"
)

// Rule is one [[dial]] table: how a number is dialled. The first rule that matches counts.
type Rule struct {
	// Match is a regular expression for the number as it is given.
	Match string `toml:"match"`
	// Number is what is dialled; $1 is the first group of Match.
	Number string `toml:"number"`
}

// Check reports every setting that cannot work.
func (r *Rule) Check(report func(key, problem string)) {
	switch err := pattern.Check(r.Match); {
	case errors.Is(err, pattern.ErrTooLarge):
		report("match", err.Error())
	case err != nil || r.Match == "":
		report("match", fmt.Sprintf("%q is not a regular expression, such as ^\\+49(\\d+)$", r.Match))
	}
	if r.Number == "" {
		report("number", "is missing: give what is dialled, such as 0$1")
	}
}

// Numbers says what may be dialled, and how.
type Numbers struct {
	rules   []*regexp.Regexp
	numbers []string
	allowed []string       // patterns
	reader  *number.Reader // nil if there is none
}

// NewNumbers returns Numbers of rules that passed Check, and of the patterns of [click] to, of which each may
// have * for any text and ? for one character. The reader knows the country's numbers; it may be nil.
func NewNumbers(rules []Rule, allowed []string, reader *number.Reader) *Numbers {
	n := &Numbers{allowed: allowed, reader: reader}
	for _, r := range rules {
		if match, err := regexp.Compile(r.Match); err == nil {
			n.rules, n.numbers = append(n.rules, match), append(n.numbers, r.Number)
		}
	}
	return n
}

// longestNumber bounds a number as it is given, in bytes.
const longestNumber = 64

// Dialled returns a number as it is dialled, or why it is not, empty if it is.
func (n *Numbers) Dialled(text string) (dialled, refused string) {
	if len(text) > longestNumber {
		return "", "is too long for a number"
	}
	dialled, several, ok := number.Dialable(text)
	switch {
	case several || n.reader != nil && n.reader.Several(text):
		return "", "may be two numbers: give one"
	case !ok:
		dialled = text // a name that a rule may know
	}
	for i, match := range n.rules {
		if at := match.FindStringSubmatchIndex(dialled); at != nil {
			dialled = string(match.ExpandString(nil, n.numbers[i], dialled, at))
			break
		}
	}
	if !Digits(dialled) {
		return "", "is not an extension, queue or number: at most 32 digits, * and #, after a + or not"
	}
	for _, pattern := range n.allowed {
		if ok, err := path.Match(pattern, dialled); ok && err == nil {
			return dialled, ""
		}
	}
	return "", "may not be dialled: [click] to does not allow it"
}
