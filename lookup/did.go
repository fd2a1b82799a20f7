package lookup

import (
	"reflect"
	"strings"
	"time"
)

const typeDID = "did"

// DIDs knows what the numbers of the company are used for.
type DIDs interface {
	// DIDTarget returns what a called number is used for, and the target; found is false
	// if that is set for none. It does not wait for writers.
	DIDTarget(did string) (kind, target string, found bool, err error)
}

// The variables of a number's use. They are words of the contract.
const (
	didTypeVariable   = "did_type"
	didTargetVariable = "did_target"
)

// didBackend answers by the number that was called, not by the caller. It knows no customers, so its answers have
// no match.
type didBackend struct{ dids DIDs }

func openDID(_ *Config, r resources) (backend, error) { return &didBackend{r.dids}, nil }

func (b *didBackend) prepare(q *Question) *request {
	if q.Param == nil {
		return nil
	}
	did := DIDDigits(q.Param("directid"))
	if did == "" {
		return nil
	}
	return &request{ask: func(time.Time) result {
		r := b.find(did)
		r.sent = "did " + did
		return r
	}}
}

func (b *didBackend) find(did string) result {
	kind, target, found, err := b.dids.DIDTarget(did)
	switch {
	case err != nil:
		return failure(&fault{reason: reasonBook, err: err})
	case !found:
		return result{outcome: Missing}
	}
	return result{outcome: Found, vars: []Var{{Name: didTypeVariable, Value: kind}, {Name: didTargetVariable, Value: target}}}
}

// DIDDigits returns the digits of a called number, the form in which its use is stored.
func DIDDigits(did string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, did)
}

// checkDID reports keys that have no meaning without a request and a format.
func checkDID(c *Config, report func(key, problem string)) {
	used := DefaultConfig()
	used.Name, used.Type, used.Points, used.Rank, used.Fill, used.Shadow = c.Name, c.Type, c.Points, c.Rank, c.Fill, c.Shadow
	if !reflect.DeepEqual(*c, used) {
		report("type", "is did, which makes no request: beside it only name, points, rank, fill and shadow have a meaning")
	}
}
