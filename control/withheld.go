package control

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"ringhook/ami"
	"ringhook/dialplan"
)

// presentation is whether a channel's caller ID may be shown. Lists and most events of Asterisk do not say so.
type presentation int

const (
	unasked presentation = iota // not shown until Asterisk is asked
	public
	withheld // by the caller
)

// presented reports what Asterisk says about a channel's presentation: the name of CALLERID(num-pres). Without a name the
// number counts as withheld.
func presented(name string) presentation {
	if name == "" || dialplan.Withheld(name) {
		return withheld
	}
	return public
}

// presentedBy reads the presentation of a NewCallerid event, such as "32 (Presentation Prohibited, Not Screened)".
func presentedBy(m ami.Message, before presentation) presentation {
	number, _, _ := strings.Cut(m.Get("CID-CallingPres"), " ")
	bits, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return before
	case dialplan.WithheldBits(bits):
		return withheld
	}
	return public
}

// asks reports whether Asterisk has to be asked for a channel's presentation.
func (c *channel) asks() bool { return c.presentation == unasked && c.number+c.callerName != "" }

// shownCaller returns the number and name of a channel as they may be shown, given those that it has. Those of a channel
// that is not known are shown only if all are.
func (s *state) shownCaller(uniqueID, number, name string, all bool) (string, string) {
	if c := s.channels[uniqueID]; !all && (c == nil || c.presentation != public) {
		return "", ""
	}
	return number, name
}

// shownChannel returns a channel's name without the number of a channel, unless that may be shown: drivers such as DAHDI
// write it in the name.
func (s *state) shownChannel(of, name, number string, all bool) string {
	if shown, _ := s.shownCaller(of, number, "", all); shown == number {
		return name
	}
	return dialplan.HideNumber(name, number)
}

// touched returns what is recorded of a command on a channel, whose name is shown as in lists.
func (s *server) touched(linkedID, uniqueID, name string, all bool) touched {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.state.channels {
		if c.linkedID == linkedID {
			name = s.state.shownChannel(c.uniqueID, name, c.number, all)
		}
	}
	return touched{server: s.config.Name, linkedID: linkedID, uniqueID: uniqueID, channel: name}
}

// toAsk returns the channels whose presentation has to be asked.
func (s *state) toAsk() (ids []string) {
	for id, c := range s.channels {
		if c.asks() {
			ids = append(ids, id)
		}
	}
	return ids
}

// keepPresentations asks for the presentation of channels as soon as there are new ones, until ctx ends.
func (s *server) keepPresentations(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asking:
		}
		s.mu.Lock()
		ids := s.state.toAsk()
		s.mu.Unlock()
		for _, id := range ids {
			name, err := s.client.Variable(ctx, id, ami.Presentation)
			to := presented(name)
			if rejected := (*ami.RejectedError)(nil); errors.As(err, &rejected) {
				to = withheld // it has hung up, or the account at Asterisk may not read variables
			} else if err != nil {
				break // the next list asks again
			}
			s.mu.Lock()
			if c := s.state.channels[id]; c != nil && c.presentation == unasked {
				c.presentation = to
			}
			s.mu.Unlock()
		}
	}
}

// ask wakes keepPresentations.
func (s *server) ask() {
	select {
	case s.asking <- struct{}{}:
	default: // it is awake
	}
}
