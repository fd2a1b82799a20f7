package control

import (
	"errors"
	"slices"
	"testing"

	"ringhook/ami/amitest"
	"ringhook/control/account"
	"ringhook/control/switching"
)

// TestAccountLeft checks that an account that could not be created stays listed only if Asterisk may have it, or if the list
// cannot be written, and that the error then says to delete it.
func TestAccountLeft(t *testing.T) {
	x := newExchange(t)
	settings := *x.settings.Load()
	settings.Accounts = account.Config{Template: "phone", Most: 5}
	x.Configure(settings)
	success, refusal := amitest.Text("Response: Success", "ActionID: {id}", "Value: INVALID"), amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied")
	create := func(name, text string, caused bool) {
		t.Helper()
		_, err := x.CreateAccount(t.Context(), Administrator("x"), AccountRequest{Account: name})
		wantCode(t, err, PBX)
		var failed *Error
		if !errors.As(err, &failed) || failed.Text != text || (failed.Err != nil) != caused {
			t.Errorf("%s: %v, want %q, with a cause: %t", name, err, text, caused)
		}
	}
	listed := func(want ...string) {
		t.Helper()
		list, err := x.desk.SIPAccounts()
		var names []string
		for _, a := range list {
			names = append(names, a.Name)
		}
		if !slices.Equal(names, want) || err != nil {
			t.Errorf("%q are listed, %v, want %q", names, err, want)
		}
	}
	x.pbx.Answer("Getvar", success)
	x.pbx.Answer("UpdateConfig", refusal)
	refused := "the account at the manager interface needs write=config: see ringhook ami check"
	create("201", refused, false)
	listed()
	x.pbx.AnswerFunc("UpdateConfig", func(*amitest.Request) string {
		x.pbx.Answer("Getvar", refusal)
		return success
	})
	create("202", "Asterisk refused: Permission denied; the account 202 may exist: delete it", true)
	listed("202")
	x.pbx.Answer("Getvar", success)
	x.pbx.AnswerFunc("UpdateConfig", func(*amitest.Request) string {
		if err := x.desk.Close(); err != nil {
			t.Error(err)
		}
		return refusal
	})
	create("203", refused+"; the account 203 is still listed: delete it", true)
}

// TestSwitched checks that an error of switching keeps a cause that its text does not say.
func TestSwitched(t *testing.T) {
	refused, lost := &switching.Error{Code: switching.State, Text: "not loaded"}, errors.New("lost")
	for _, c := range []struct {
		err    error
		caused bool
	}{{refused, false}, {errors.Join(refused, nil), false}, {errors.Join(refused, lost), true}} {
		var failed *Error
		if err := switched(c.err); !errors.As(err, &failed) || failed.Code != State || failed.Text != "not loaded" || errors.Is(err, lost) != c.caused || (failed.Err != nil) != c.caused {
			t.Errorf("%v: %v, want a cause: %t", c.err, err, c.caused)
		}
	}
	if err := switched(lost); !errors.Is(err, lost) {
		t.Errorf("another error has become %v", err)
	}
}
