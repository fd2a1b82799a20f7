package yemot

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// MaxBody is the maximum size of a request's body, in bytes.
const MaxBody = 64 << 10

// Request is a request that is no page's.
type Request struct {
	Method, Command    string
	Query, ContentType string
	Authorization      string // the header
	Body               []byte
	// Guess counts a wrong token, and reports whether there were too many of them.
	Guess func() (refused bool)
}

// Serve checks the token of a request and answers it. The token is the parameter or the header; a right one is accepted also
// after wrong ones. The error is that of Answer.
func (y *Yemot) Serve(ctx context.Context, cfg *Config, r *Request) (any, error) {
	switch {
	case r.Method != "GET" && r.Method != "POST":
		return Failure("use GET or POST"), nil
	case len(r.Body) > MaxBody:
		return Failure("the body is too large"), nil
	}
	params, err := Parse(r.Query, r.ContentType, r.Body)
	if err != nil {
		return Failure(err.Error()), nil
	}
	token := params.Text("token")
	if token == "" {
		token = r.Authorization
		if scheme, rest, _ := strings.Cut(token, " "); strings.EqualFold(scheme, "Bearer") {
			token = rest
		}
	}
	right, given := sha256.Sum256([]byte(cfg.Token)), sha256.Sum256([]byte(token))
	switch {
	case token == "":
		return Failure("token is missing"), nil
	case subtle.ConstantTimeCompare(right[:], given[:]) == 1:
		return y.Answer(ctx, r.Command, params)
	case r.Guess():
		return Failure("too many wrong tokens from this address"), nil
	}
	return Failure("token is wrong"), nil
}
