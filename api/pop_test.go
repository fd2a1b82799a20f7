package api

import (
	"errors"
	"testing"

	"ringhook/pops"
)

// TestPopRefusal checks the answers to pops on demand that are not made. Rows D2 and D15.
func TestPopRefusal(t *testing.T) {
	for err, want := range map[error]int{pops.ErrNoCall: 404, pops.ErrNoAgent: 404, pops.ErrURL: 400, pops.ErrNoPage: 409, pops.ErrNoDesk: 409} {
		var got *refusal
		if !errors.As(popRefusal(err), &got) || got.status != want || got.text != err.Error() || got.code == "" {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// TestPopOfNumber checks that agents have pages of calls alone: a page of any number would show them every customer.
func TestPopOfNumber(t *testing.T) {
	s := serveAPI(t)
	for _, one := range []struct {
		token, target, body string
		want                int
		code                string
	}{
		{"agent", "/v1/me/pop", `{"number": "+4930123456"}`, 403, "forbidden"}, {"agent", "/v1/agents/7/pop", `{"number": "+4930123456"}`, 403, "forbidden"},
		{"agent", "/v1/agents/8/pop", `{"linkedid": "1.1"}`, 403, "forbidden"}, {"agent", "/v1/me/pop", `{"linkedid": "1.1"}`, 409, "state"},
		{"supervisor", "/v1/agents/7/pop", `{"number": "+4930123456"}`, 409, "state"}, {"administrator", "/v1/agents/7/pop", `{"number": "+4930123456"}`, 409, "state"},
	} {
		if status, code, text := s.send(one.token, "POST", one.target, one.body); status != one.want || code != one.code {
			t.Errorf("%s %s %s: %d %s, want %d", one.token, one.target, one.body, status, text, one.want)
		}
	}
}
