// Package account creates, changes and deletes SIP accounts of Asterisk, by the manager interface and without a restart.
//
// An account is a section of pjsip_wizard.conf that inherits a template of the administrator. Asterisk gets a hash of the
// password, which fits one realm and one account, instead of the password. The interface needs write=config, so accounts are
// off by default.
package account

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/control/switching"
)

const (
	file = "pjsip_wizard.conf"
	// module reads the file at a reload, together with the rest of the configuration of SIP.
	module = "res_pjsip.so"
	// realm is that of the hash of passwords.
	realm = "asterisk"
)

// The keys of an account in the file, beside those of the password.
const (
	keyTransport = "transport"
	keyWebRTC    = "endpoint/webrtc"
	keyCallerID  = "endpoint/callerid"
	keyHint      = "has_hint"
	keyContext   = "hint_context"
	keyExtension = "hint_exten"
	// keyRevision has another value after each change. Asterisk compares the sections of the file with those of the last
	// reload, and does not notice a key that is only added. It ignores this key itself.
	keyRevision = "ringhook_revision"
)

// Settings are what of an account can be changed. Each may be empty.
type Settings struct {
	// Extension is where the account is called, an extension of [accounts] context.
	Extension string
	// CallerID is the number of calls from the account.
	CallerID string
	// Transport is one of [accounts] transports.
	Transport string
}

// What Asterisk says if a section is there already, or its template or the section is not.
const (
	failedCreate = "Create category did not complete successfully"
	failedDelete = "Delete category did not complete successfully"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_]{2,32}$`)

// CheckName returns why a text cannot be the name of an account, nil if it can.
func CheckName(name string) error {
	if !namePattern.MatchString(name) || strings.EqualFold(name, "general") {
		return refuse(switching.BadRequest, "account must have 2 to 32 letters, digits or _")
	}
	return nil
}

// Check returns why settings cannot be those of an account, nil if they can.
func (s *Settings) Check(cfg *Config) error {
	switch {
	case s.Extension != "" && !extensionPattern.MatchString(s.Extension):
		return refuse(switching.BadRequest, "extension must have 2 to 32 digits")
	case s.Extension != "" && cfg.Context == "":
		return refuse(switching.BadRequest, "extensions are off: set [accounts] context")
	case s.CallerID != "" && !callerPattern.MatchString(s.CallerID):
		return refuse(switching.BadRequest, "caller_id is not a number: at most 20 digits, after a + or not")
	case s.Transport != "" && cfg.Transports[s.Transport] == "":
		return refuse(switching.BadRequest, "transport %.20q is not one of [accounts] transports", s.Transport)
	}
	return nil
}

var (
	extensionPattern = regexp.MustCompile(`^[0-9]{2,32}$`)
	callerPattern    = regexp.MustCompile(`^\+?[0-9]{1,20}$`)
)

// refuse returns an error of a command of which nothing was done.
func refuse(code, format string, args ...any) error {
	return &switching.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// NewName returns a number for an account that has neither a name nor an extension.
func NewName() string {
	b := make([]byte, 4)
	rand.Read(b)
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return strconv.FormatUint(10_000_000+uint64(n)%90_000_000, 10)
}

// Create creates an account and returns its password, which is not kept. It returns when Asterisk knows the account. After
// an error left is true if the account may be in Asterisk's file all the same.
func Create(ctx context.Context, c *ami.Client, cfg *Config, name string, s Settings) (password string, left bool, err error) {
	if err := unused(ctx, c, cfg, name, s.Extension); err != nil {
		return "", false, err
	}
	password = rand.Text()
	sum := md5.Sum([]byte(name + ":" + realm + ":" + password))
	u := update{name: name}
	u.step("NewCat", "", "", "inherit="+strconv.Quote(cfg.Template))
	for _, line := range [][2]string{
		{"inbound_auth/auth_type", "md5"}, {"inbound_auth/username", name}, {"inbound_auth/realm", realm}, {"inbound_auth/md5_cred", hex.EncodeToString(sum[:])},
	} {
		u.step("Append", line[0], line[1], "")
	}
	for _, line := range s.lines(cfg) {
		if line[1] != "" {
			u.step("Append", line[0], line[1], "")
		}
	}
	if err := u.send(ctx, c); err != nil {
		if rejected(err, failedCreate) {
			err = refuse(switching.State, "%s has a section %s already, or no template %s", file, name, cfg.Template)
		}
		return "", ami.MayHaveRun(err), err
	}
	err = loaded(ctx, c, "the account "+name, func() (bool, error) { return known(ctx, c, name) })
	var unseen *switching.Error
	switch {
	case err == nil:
		return password, false, nil
	case !errors.As(err, &unseen):
		return "", true, err
	}
	// Asterisk does not load the account: the template is none, for example.
	if failed := Delete(ctx, c, name); failed != nil {
		return "", true, errors.Join(refuse(unseen.Code, "%s; removing it failed", unseen.Text), failed)
	}
	return "", false, err
}

// unused returns why a new account cannot have a name and an extension.
func unused(ctx context.Context, c *ami.Client, cfg *Config, name, extension string) error {
	found, err := known(ctx, c, name)
	if err != nil {
		return err
	}
	if found {
		return refuse(switching.State, "Asterisk has an account %s already", name)
	}
	if extension == "" {
		return nil
	}
	return free(ctx, c, cfg, extension)
}

// free returns an error if the dialplan has an extension.
func free(ctx context.Context, c *ami.Client, cfg *Config, extension string) error {
	found, err := c.Exists(ctx, cfg.Context, extension)
	if err == nil && found {
		err = refuse(switching.State, "the context %s has an extension %s already", cfg.Context, extension)
	}
	return err
}

// known reports whether Asterisk has an account.
func known(ctx context.Context, c *ami.Client, name string) (bool, error) {
	state, err := c.Call(ctx, ami.DeviceState, "PJSIP/"+name)
	return state != "INVALID", err
}

// lines are the keys of settings with their values, empty for none.
func (s *Settings) lines(cfg *Config) [][2]string {
	lines := [][2]string{{keyTransport, cfg.Transports[s.Transport]}, {keyWebRTC, ""}, {keyCallerID, ""}, {keyHint, ""}, {keyContext, ""}, {keyExtension, ""}}
	if s.Transport != "" {
		lines[1][1] = map[bool]string{true: "yes", false: "no"}[s.Transport == WebSocket]
	}
	if s.CallerID != "" {
		lines[2][1] = "<" + s.CallerID + ">"
	}
	if s.Extension != "" {
		lines[3][1], lines[4][1], lines[5][1] = "yes", cfg.Context, s.Extension
	}
	return append(lines, [2]string{keyRevision, revision()})
}

// Change changes the settings of an account. It returns when Asterisk has read them.
func Change(ctx context.Context, c *ami.Client, cfg *Config, name string, to Settings) error {
	has, err := section(ctx, c, name)
	if err != nil {
		return err
	}
	from, at := has[keyExtension], has[keyContext]
	moves := from != to.Extension || at != cfg.Context
	if moves && to.Extension != "" {
		if err := free(ctx, c, cfg, to.Extension); err != nil {
			return err
		}
	}
	if moves && from != "" && has[keyHint] == "yes" {
		// A reload does not remove the extension that the section had before, unless has_hint says so.
		if err := change(ctx, c, name, has, map[string]string{keyHint: "no", keyRevision: revision()}); err != nil {
			return err
		}
		gone := func() (bool, error) {
			found, err := c.Exists(ctx, at, from)
			return !found, err
		}
		if err := loaded(ctx, c, "the end of the extension "+from, gone); err != nil {
			return err
		}
		if has, err = section(ctx, c, name); err != nil {
			return err
		}
	}
	values := map[string]string{}
	for _, line := range to.lines(cfg) {
		values[line[0]] = line[1]
	}
	if err := change(ctx, c, name, has, values); err != nil {
		return err
	}
	return loaded(ctx, c, "the account "+name, func() (bool, error) {
		if to.Extension == "" {
			return known(ctx, c, name)
		}
		return c.Exists(ctx, cfg.Context, to.Extension)
	})
}

// revision returns a value that was not there before.
func revision() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

// change sets keys of an account, which has some of them; an empty value removes the key.
func change(ctx context.Context, c *ami.Client, name string, has, values map[string]string) error {
	u := update{name: name}
	for _, key := range []string{keyTransport, keyWebRTC, keyCallerID, keyHint, keyContext, keyExtension, keyRevision} {
		value, wanted := values[key]
		switch old, there := has[key]; {
		case !wanted:
		case !there && value != "":
			u.step("Append", key, value, "")
		case there && value == "":
			u.step("Delete", key, "", "")
		case there && value != old:
			u.step("Update", key, value, "")
		}
	}
	return u.send(ctx, c)
}

// section returns the keys of an account in the file that are no part of the password.
func section(ctx context.Context, c *ami.Client, name string) (map[string]string, error) {
	m, err := c.Do(ctx, ami.Action{Name: "GetConfig", Fields: []ami.Field{{Key: "Filename", Value: file}, {Key: "Category", Value: name}}})
	if err != nil {
		return nil, err
	}
	lines, found := map[string]string{}, false
	for _, f := range m {
		switch {
		case strings.HasPrefix(f.Key, "Category-"):
			found = found || f.Value == name
		case strings.HasPrefix(f.Key, "Line-"):
			if key, value, ok := strings.Cut(f.Value, "="); ok && !strings.HasPrefix(key, "inbound_auth/") {
				lines[key] = value
			}
		}
	}
	if !found {
		return nil, refuse(switching.State, "%s has no section %s any more", file, name)
	}
	return lines, nil
}

// Delete deletes an account. One that Asterisk does not have is deleted already. It returns when Asterisk has forgotten it;
// calls of the account go on.
func Delete(ctx context.Context, c *ami.Client, name string) error {
	u := update{name: name}
	u.step("DelCat", "", "", "")
	err := u.send(ctx, c)
	if rejected(err, failedDelete) {
		err = nil
	}
	if err != nil {
		return err
	}
	return loaded(ctx, c, "the end of the account "+name, func() (bool, error) {
		found, err := known(ctx, c, name)
		return !found, err
	})
}

// loadTime is the longest that Asterisk's reload is waited for, and loadEvery the time between two looks.
const (
	loadTime  = 3 * time.Second
	loadEvery = 50 * time.Millisecond
)

// loaded waits until Asterisk has read its file. A reload that meets another one does nothing, so a second one follows.
func loaded(ctx context.Context, c *ami.Client, what string, is func() (bool, error)) error {
	for began, again := time.Now(), time.Second; ; {
		done, err := is()
		if done || err != nil {
			return err
		}
		switch waited := time.Since(began); {
		case waited > loadTime:
			return refuse(switching.State, "%s was changed, but Asterisk does not know %s: its log has the reason", file, what)
		case waited > again:
			again += time.Second
			if _, err := c.Do(ctx, ami.Action{Name: "Reload", Fields: []ami.Field{{Key: "Module", Value: module}}}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(loadEvery):
		}
	}
}

// update is one change of the file, of several steps. If one fails nothing is written.
type update struct {
	name   string
	fields []ami.Field
	n      int
}

func (u *update) step(action, key, value, options string) {
	for _, f := range [][2]string{{"Action", action}, {"Cat", u.name}, {"Var", key}, {"Value", value}, {"Options", options}} {
		if f[1] != "" {
			u.fields = append(u.fields, ami.Field{Key: fmt.Sprintf("%s-%06d", f[0], u.n), Value: f[1]})
		}
	}
	u.n++
}

// send sends the change. Asterisk reloads after its answer.
func (u *update) send(ctx context.Context, c *ami.Client) error {
	fields := append([]ami.Field{{Key: "SrcFilename", Value: file}, {Key: "DstFilename", Value: file}, {Key: "Reload", Value: module}}, u.fields...)
	_, err := c.Do(ctx, ami.Action{Name: "UpdateConfig", Fields: fields})
	if rejected(err, "Permission denied") {
		return refuse(switching.PBX, "the account at the manager interface needs write=config: see ringhook ami check")
	}
	return err
}

// rejected reports whether Asterisk refused an action with these words.
func rejected(err error, words string) bool {
	var r *ami.RejectedError
	return errors.As(err, &r) && strings.Contains(r.Message, words)
}
