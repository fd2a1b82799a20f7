// Package reply reads what a receiver answers to a delivery: whether it took the
// event, and values for later deliveries of the call.
package reply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/lookup/answer"
)

const (
	// MaxNames is the maximum number of values that are remembered of one answer.
	MaxNames = 8
	// MaxValue is the maximum length of such a value in bytes. A longer one is left out: a part of an id is none.
	MaxValue = 256
	// readTime bounds the expressions of one answer. The request is over by then, and a value that is lost because the
	// machine is busy cannot be had again.
	readTime = 10 * time.Second
)

// Name matches the names of remembered values: those that a placeholder can have.
var Name = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// Config is what is read of an answer.
type Config struct {
	// Taken is an expression over the answer. The event is taken if it results in anything but
	// nothing and false.
	Taken string
	// Remember has the expression of each value, by its name.
	Remember map[string]string
	// XML reads the answer as XML, with XPath. Otherwise it is JSON, read with jq.
	XML bool
}

// Problem is a setting that cannot be used: taken, or remember.NAME.
type Problem struct{ Key, Text string }

// Reader reads answers. It may be used from many goroutines.
type Reader struct {
	cfg    Config
	reader *answer.Reader
}

// New makes a Reader, nil if nothing is to be read of answers.
func New(cfg Config) (*Reader, []Problem) {
	if cfg.Taken == "" && len(cfg.Remember) == 0 {
		return nil, nil
	}
	var problems []Problem
	if len(cfg.Remember) > MaxNames {
		problems = append(problems, Problem{"remember", fmt.Sprintf("has %d names, %d at most", len(cfg.Remember), MaxNames)})
	}
	expressions := make(map[string]string, len(cfg.Remember)+1)
	if cfg.Taken != "" {
		expressions["taken"] = cfg.Taken
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Remember)) {
		if !Name.MatchString(name) {
			problems = append(problems, Problem{"remember", fmt.Sprintf("%q is not a name: small letters, digits and underscores", name)})
			continue
		}
		expressions["remember."+name] = cfg.Remember[name]
	}
	format := "json"
	if cfg.XML {
		format = "xml"
	}
	reader, err := answer.NewReader(answer.Config{Format: format, Map: expressions, Whole: true, Time: readTime})
	for _, wrong := range answer.KeyErrors(err) {
		problems = append(problems, Problem{strings.TrimPrefix(wrong.Key, "map."), wrong.Err.Error()})
	}
	return &Reader{cfg: cfg, reader: reader}, problems
}

// Reply is what an answer says.
type Reply struct {
	Taken  bool
	Why    string            // why it is not taken, without a word of the answer
	Unread error             // why nothing could be read of it
	Values map[string]string // to remember; those that the answer does not have are missing
}

// Read reads an answer. Of one that cannot be read nothing is remembered, and the event
// is taken unless an expression has to say so.
func (r *Reader) Read(body []byte, contentType string) Reply {
	reply := Reply{Taken: r.cfg.Taken == ""}
	res, err := r.reader.Read(context.Background(), body, contentType)
	if err == nil && len(res.Records) == 0 {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		reply.Why, reply.Unread = fmt.Sprintf("taken: %v", err), err
		return reply
	}
	record := res.Records[0]
	if r.cfg.Taken != "" {
		value := record.Value("taken")
		reply.Taken = value != "" && value != "false"
		reply.Why = "taken: the answer does not say that the event was taken"
		for _, refused := range res.Refused {
			if problem, ok := strings.CutPrefix(refused, "map.taken: "); ok {
				reply.Why = "taken: " + problem
			}
		}
	}
	for name := range r.cfg.Remember {
		if value := record.Value("remember." + name); value != "" && len(value) <= MaxValue {
			if reply.Values == nil {
				reply.Values = make(map[string]string)
			}
			reply.Values[name] = value
		}
	}
	return reply
}
