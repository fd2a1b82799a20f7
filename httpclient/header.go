package httpclient

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// headerName is a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ownHeaders are those that the client writes itself.
var ownHeaders = []string{
	"accept-encoding", "connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade",
}

// CheckHeader returns what is wrong with a configured header, nil if nothing is.
// Reserved are the headers, in lower case, that the caller writes. The error does
// not show the value, which may be a secret.
func CheckHeader(name, value string, reserved ...string) error {
	lower := strings.ToLower(name)
	switch {
	case !headerName.MatchString(name):
		return errors.New("is no name of a header: letters, digits and - are expected")
	case slices.Contains(ownHeaders, lower), slices.Contains(reserved, lower):
		return errors.New("is written by ringhook itself: leave it out")
	case strings.ContainsAny(value, "\r\n\x00"):
		return errors.New("has a line break in its value: one line is expected")
	}
	return nil
}
