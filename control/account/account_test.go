package account

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control/switching"
)

// pbx is an Asterisk with pjsip_wizard.conf, to which a client is connected.
type pbx struct {
	*amitest.Server
	client   *ami.Client
	accounts *amitest.Accounts
}

// value answers Getvar.
func (p *pbx) value(r *amitest.Request) string {
	value, known := p.accounts.Value(r.Get("Variable"))
	if !known {
		value = map[bool]string{true: "INVALID", false: "0"}[strings.HasPrefix(r.Get("Variable"), "DEVICE_STATE")]
	}
	return amitest.Text("Response: Success", "ActionID: {id}", "Value: "+value)
}

// play runs f with a client that is connected to an Asterisk.
func play(t *testing.T, f func(t *testing.T, p *pbx)) {
	t.Helper()
	p := &pbx{Server: amitest.New()}
	defer p.Close()
	p.accounts = amitest.NewAccounts(p.Server)
	p.AnswerFunc("Getvar", p.value)
	address, err := p.Listen()
	if err != nil {
		t.Fatal(err)
	}
	cfg := ami.DefaultConfig()
	cfg.Address, cfg.Username, cfg.Secret = address, amitest.Username, amitest.Secret
	if p.client, err = ami.New(cfg, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry())); err != nil {
		t.Fatal(err)
	}
	if err := p.client.Once(t.Context(), func(context.Context) error { f(t, p); return nil }); err != nil {
		t.Fatal(err)
	}
}

var config = Config{Template: "phone", Context: "accounts", Transports: map[string]string{"udp": "transport-udp", "wss": "transport-wss"}, Most: 500}

// without returns a section without what differs each time.
func without(section map[string]string) map[string]string {
	delete(section, keyRevision)
	return section
}

// TestAccount creates an account, changes each of its settings, and deletes it.
func TestAccount(t *testing.T) {
	play(t, func(t *testing.T, p *pbx) {
		ctx := t.Context()
		password, _, err := Create(ctx, p.client, &config, "201", Settings{Extension: "201", CallerID: "+4930123456", Transport: "udp"})
		if err != nil || len(password) < 20 {
			t.Fatalf("password %q, %v", password, err)
		}
		sum := md5.Sum([]byte("201:asterisk:" + password))
		want := map[string]string{
			"inbound_auth/auth_type": "md5", "inbound_auth/username": "201", "inbound_auth/realm": "asterisk", "inbound_auth/md5_cred": hex.EncodeToString(sum[:]),
			"transport": "transport-udp", "endpoint/webrtc": "no", "endpoint/callerid": "<+4930123456>", "has_hint": "yes", "hint_context": "accounts", "hint_exten": "201",
		}
		check := func(what string, extensions string) {
			t.Helper()
			if got := without(p.accounts.Section("201")); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: section %v, want %v", what, got, want)
			}
			for _, extension := range []string{"201", "250"} {
				found, err := p.client.Exists(ctx, "accounts", extension)
				if err != nil || found != strings.Contains(extensions, extension) {
					t.Errorf("%s: extension %s: %t, %v", what, extension, found, err)
				}
			}
		}
		check("created", "201")
		change := func(to Settings) {
			t.Helper()
			if err := Change(ctx, p.client, &config, "201", to); err != nil {
				t.Fatal(err)
			}
		}
		change(Settings{Extension: "250", CallerID: "+4930123456", Transport: "wss"})
		want["hint_exten"], want["transport"], want["endpoint/webrtc"] = "250", "transport-wss", "yes"
		check("moved", "250")
		change(Settings{Extension: "250"})
		for _, key := range []string{"transport", "endpoint/webrtc", "endpoint/callerid"} {
			delete(want, key)
		}
		check("with less", "250")
		change(Settings{CallerID: "123"})
		want["endpoint/callerid"] = "<123>"
		for _, key := range []string{"has_hint", "hint_context", "hint_exten"} {
			delete(want, key)
		}
		check("without an extension", "")
		change(Settings{Extension: "201", CallerID: "123"})
		want["has_hint"], want["hint_context"], want["hint_exten"] = "yes", "accounts", "201"
		check("with the first extension again", "201")
		if err := errors.Join(Delete(ctx, p.client, "201"), Delete(ctx, p.client, "201")); err != nil || p.accounts.Section("201") != nil {
			t.Errorf("deleted: %v, %v", p.accounts.Section("201"), err)
		}
		for _, sent := range p.Requests("") {
			for _, f := range sent.Fields {
				if strings.Contains(f[1], password) {
					t.Errorf("%s sends the password", sent.Action)
				}
			}
		}
	})
}

// TestRefused checks what is refused, and that nothing is left of it.
func TestRefused(t *testing.T) {
	play(t, func(t *testing.T, p *pbx) {
		ctx := t.Context()
		f := func(err error, code, text string) {
			t.Helper()
			var refused *switching.Error
			if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(refused.Text, text) {
				t.Errorf("got %v, want %s: %s", err, code, text)
			}
		}
		create := func(cfg Config, name, extension string) error {
			_, left, err := Create(ctx, p.client, &cfg, name, Settings{Extension: extension})
			if left {
				t.Errorf("%s is left after %v", name, err)
			}
			return err
		}
		if err := create(config, "201", "201"); err != nil {
			t.Fatal(err)
		}
		f(create(config, "201", ""), switching.State, "has an account 201 already")
		f(create(config, "202", "201"), switching.State, "has an extension 201 already")
		other := config
		other.Template = "none"
		f(create(other, "202", ""), switching.State, "no template none")
		f(Change(ctx, p.client, &config, "999", Settings{}), switching.State, "no section 999")
		if err := create(config, "202", "202"); err != nil {
			t.Fatal(err)
		}
		f(Change(ctx, p.client, &config, "202", Settings{Extension: "201"}), switching.State, "has an extension 201 already")
		p.Answer("UpdateConfig", amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied"))
		f(create(config, "203", ""), switching.PBX, "write=config")
	})
}

// TestNotLoaded checks that an account that Asterisk does not load is removed from its file.
func TestNotLoaded(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the account")
	}
	play(t, func(t *testing.T, p *pbx) {
		p.accounts.Break()
		password, left, err := Create(t.Context(), p.client, &config, "201", Settings{})
		if err == nil || password != "" || left || p.accounts.Section("201") != nil {
			t.Errorf("password %q, %v, section %v", password, err, p.accounts.Section("201"))
		}
		if len(p.Requests("Reload")) == 0 {
			t.Error("no second reload")
		}
	})
}

// TestLeft checks that a new account that may be in Asterisk's file is reported as left, and no other, and that the error
// has the reason.
func TestLeft(t *testing.T) {
	success, refusal := amitest.Text("Response: Success", "ActionID: {id}"), amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied")
	// silent does not answer an action, and does something instead.
	silent := func(do func()) func(*amitest.Request) string {
		return func(*amitest.Request) string { go do(); return "" }
	}
	for _, c := range []struct {
		name    string
		prepare func(p *pbx, cancel func())
		left    bool
		reasons []string
	}{
		{"no answer before the change", func(p *pbx, cancel func()) { p.AnswerFunc("Getvar", silent(cancel)) }, false, []string{"context canceled"}},
		{"change refused", func(p *pbx, _ func()) { p.Answer("UpdateConfig", refusal) }, false, []string{"needs write=config"}},
		{"no answer to the change", func(p *pbx, cancel func()) { p.AnswerFunc("UpdateConfig", silent(cancel)) }, true, []string{"context canceled"}},
		{"connection lost at the change", func(p *pbx, _ func()) { p.AnswerFunc("UpdateConfig", silent(p.Drop)) }, true, []string{ami.ErrLost.Error()}},
		{"connection lost after the change", func(p *pbx, _ func()) {
			p.AnswerFunc("UpdateConfig", func(*amitest.Request) string {
				p.AnswerFunc("Getvar", silent(p.Drop))
				return success
			})
		}, true, []string{ami.ErrLost.Error()}},
		{"reload refused", func(p *pbx, _ func()) { p.accounts.Break(); p.Answer("Reload", refusal) }, true, []string{"Permission denied"}},
		{"not loaded, and not removed", func(p *pbx, _ func()) {
			p.Answer("Reload", success)
			p.AnswerFunc("UpdateConfig", func(r *amitest.Request) string {
				if r.Get("Action-000000") == "DelCat" {
					return refusal
				}
				return success
			})
		}, true, []string{"does not know the account 201", "removing it failed", "needs write=config"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && (strings.HasPrefix(c.name, "reload") || strings.HasPrefix(c.name, "not loaded")) {
				t.Skip("it waits for the account")
			}
			play(t, func(t *testing.T, p *pbx) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.prepare(p, cancel)
				password, left, err := Create(ctx, p.client, &config, "201", Settings{})
				if password != "" || left != c.left || err == nil {
					t.Errorf("password %q, left %t, %v, want left %t", password, left, err, c.left)
				}
				for _, reason := range c.reasons {
					if err != nil && !strings.Contains(err.Error(), reason) {
						t.Errorf("%v, want %q in it", err, reason)
					}
				}
			})
		})
	}
}

// TestSettings checks names and settings.
func TestSettings(t *testing.T) {
	for _, name := range []string{"", "1", "general", "General", "a b", "a]", "a\nb", "10-1", "../x", strings.Repeat("1", 33), "é1"} {
		if CheckName(name) == nil {
			t.Errorf("%q can be a name", name)
		}
	}
	for _, name := range []string{"201", "a_1", NewName(), strings.Repeat("1", 32)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	no := config
	no.Context, no.Transports = "", nil
	for _, c := range []struct {
		cfg  *Config
		s    Settings
		good bool
	}{
		{&no, Settings{}, true},
		{&no, Settings{CallerID: "123"}, true},
		{&no, Settings{Extension: "201"}, false},
		{&no, Settings{Transport: "udp"}, false},
		{&config, Settings{Extension: "201", CallerID: "+4930123456", Transport: "udp"}, true},
		{&config, Settings{Extension: "2"}, false},
		{&config, Settings{Extension: "20a"}, false},
		{&config, Settings{Extension: "_2XX"}, false},
		{&config, Settings{CallerID: "Anna <1>"}, false},
		{&config, Settings{CallerID: "1\nallow=all"}, false},
		{&config, Settings{CallerID: strings.Repeat("1", 21)}, false},
		{&config, Settings{Transport: "tls"}, false},
		{&config, Settings{Transport: "transport-udp"}, false},
	} {
		if err := c.s.Check(c.cfg); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}

// TestCheck checks which tables are refused.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		keys string
	}{
		{DefaultConfig(), ""},
		{config, ""},
		{Config{Template: "a]b", Context: "a,b", Most: 0}, "template context most"},
		{Config{Template: "phone", Transports: map[string]string{"sctp": "x"}, Most: 1}, "transports"},
		{Config{Template: "phone", Transports: map[string]string{"udp": "a\nb"}, Most: 1}, "transports"},
	} {
		var keys []string
		c.cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(slices.Compact(keys), " "); got != c.keys {
			t.Errorf("%+v: mistakes in %q, want %q", c.cfg, got, c.keys)
		}
	}
}
