package ami

import (
	"context"
	"fmt"
	"regexp"
)

// Function is a dialplan function of Asterisk that is read without a channel. Only this package makes
// them: with AST_CONFIG or AST_SORCERY of a caller's choice every password could be read.
type Function struct{ format string }

// The functions that are read. Each takes a name.
var (
	PhoneContacts    = Function{"PJSIP_AOR(%s,contact)"} // names of contacts, separated by commas
	ContactURI       = Function{"PJSIP_CONTACT(%s,uri)"}
	ContactUserAgent = Function{"PJSIP_CONTACT(%s,user_agent)"}
	ContactVia       = Function{"PJSIP_CONTACT(%s,via_addr)"}
	ContactExpires   = Function{"PJSIP_CONTACT(%s,expiration_time)"} // seconds since 1970, 0 without
	ContactStatus    = Function{"PJSIP_CONTACT(%s,status)"}
	ContactRoundTrip = Function{"PJSIP_CONTACT(%s,rtt)"} // microseconds, or N/A
	DeviceState      = Function{"DEVICE_STATE(%s)"}      // of a device such as PJSIP/101
)

// argument matches what cannot end a function's argument or begin another. Names of contacts are such as
// 101;@9348bdc6c3d0d57bfd509ddb1c763e85.
var argument = regexp.MustCompile(`^[A-Za-z0-9_.;@+:/-]{1,200}$`)

// Call returns the value of a function for a name, "" if there is none of that name. The errors are those of Do.
func (c *Client) Call(ctx context.Context, f Function, name string) (string, error) {
	if f.format == "" || !argument.MatchString(name) {
		return "", fmt.Errorf("%w: %q as a function's argument", ErrInvalid, name)
	}
	m, err := c.Do(ctx, Action{"Getvar", []Field{{"Variable", fmt.Sprintf(f.format, name)}}})
	return m.Get("Value"), err
}

// The parts of a place in the dialplan.
var (
	contextPattern   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,79}$`)
	extensionPattern = regexp.MustCompile(`^[A-Za-z0-9_.*#+-]{1,79}$`)
)

// Exists reports whether the dialplan has an extension, which a pattern may match. Redirect does not check that,
// and hangs up the call. The errors are those of Do.
func (c *Client) Exists(ctx context.Context, dialplan, extension string) (bool, error) {
	if !contextPattern.MatchString(dialplan) || !extensionPattern.MatchString(extension) {
		return false, fmt.Errorf("%w: %q in %q is not a place in the dialplan", ErrInvalid, extension, dialplan)
	}
	m, err := c.Do(ctx, Action{"Getvar", []Field{{"Variable", "DIALPLAN_EXISTS(" + dialplan + "," + extension + ",1)"}}})
	return m.Get("Value") == "1", err
}
