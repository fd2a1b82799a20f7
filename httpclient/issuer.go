package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The grants of RFC 6749 by which tokens are requested.
const (
	GrantClient   = "client_credentials"
	GrantPassword = "password"
	GrantRefresh  = "refresh_token"
)

// OAuth2 configures tokens by the client credentials grant of
// RFC 6749, section 4.4.
type OAuth2 struct {
	// TokenURL is the token endpoint; empty if no token is needed.
	TokenURL     string `toml:"token_url"`
	ClientID     string `toml:"client_id"`
	ClientSecret string `toml:"client_secret"`
	// Scope is the scope of the token, words separated by blanks.
	Scope string `toml:"scope"`
}

// Check reports what is missing or cannot work. An empty value is accepted.
func (c *OAuth2) Check(report func(key, problem string)) {
	g := Grant{OAuth2: *c}
	g.Check(report)
}

// Grant configures tokens by one of the grants of RFC 6749. It is for an account, which stores what the server issues.
type Grant struct {
	OAuth2
	// Type is client_credentials, which is the default, password, or refresh_token.
	Type string `toml:"grant"`
	// Username and Password are those of the grant password.
	Username string `toml:"username"`
	Password string `toml:"password"`
	// RefreshToken is the first refresh token of the grant refresh_token. Those that the server issues later are stored.
	RefreshToken string `toml:"refresh_token"`
	// Params are further parameters of the request for a token, such as redirect_uri.
	Params map[string]string `toml:"params"`
	// Method is POST, which is the default, or GET with the parameters in the URL.
	Method string `toml:"method"`
	// ClientAuth is where client_id and client_secret stand: header (basic authentication) or body. Empty is body for
	// the grants password and refresh_token, and for client_credentials what the server accepts.
	ClientAuth string `toml:"client_auth"`
}

// IsZero reports whether nothing is configured.
func (c *Grant) IsZero() bool { return reflect.ValueOf(*c).IsZero() }

// Check reports what is missing or cannot work. An empty value is accepted.
func (c *Grant) Check(report func(key, problem string)) {
	if c.IsZero() {
		return
	}
	if c.ClientID == "" {
		report("client_id", "is missing beside token_url and client_secret")
	}
	if c.ClientSecret == "" && c.Type != GrantPassword {
		report("client_secret", "is missing beside token_url and client_id")
	}
	if t, err := ParseTemplate(c.TokenURL, PlaceURL); err != nil {
		report("token_url", err.Error())
	} else if len(t.Names()) > 0 {
		report("token_url", "has a placeholder, though a token is for every call: leave it out")
	}
	c.checkType(report)
	for name := range c.Params {
		if slices.Contains([]string{"grant_type", "refresh_token", "client_id", "client_secret", "scope", "username", "password", "code"}, name) {
			report("params", fmt.Sprintf("%s has a key of its own: leave it out", name))
		}
	}
	if c.Method != "" && c.Method != http.MethodGet && c.Method != http.MethodPost {
		report("method", "must be GET or POST")
	}
	if !slices.Contains([]string{"", authHeader, authBody}, c.ClientAuth) {
		report("client_auth", "must be header or body")
	}
	if c.Method == http.MethodGet && c.ClientAuth == authHeader {
		report("client_auth", "must be body with GET")
	}
}

// checkType reports what does not fit the grant.
func (c *Grant) checkType(report func(key, problem string)) {
	switch c.Type {
	case "", GrantClient, GrantRefresh:
		if c.Username != "" || c.Password != "" {
			report("grant", "must be password if there are a username and a password")
		}
	case GrantPassword:
		if c.Username == "" || c.Password == "" {
			report("password", "or username is missing: the grant password needs both")
		}
	default:
		report("grant", fmt.Sprintf("%q is not known; use client_credentials, refresh_token or password", c.Type))
	}
	if c.RefreshToken != "" && c.Type != GrantRefresh {
		report("refresh_token", `is for grant = "refresh_token"`)
	}
}

// The values of Grant.ClientAuth.
const (
	authHeader = "header"
	authBody   = "body"
)

// Secrets returns what is secret in the settings.
func (c *Grant) Secrets() []string {
	list := []string{c.ClientSecret, c.Password, c.RefreshToken}
	for name, value := range c.Params {
		if isSecret(name, value) {
			list = append(list, value)
		}
	}
	return list
}

// Issuer requests tokens from a token endpoint.
type Issuer struct {
	cfg    Grant
	client *clientcredentials.Config // for the requests without parameters of their own
	http   *http.Client
}

// NewIssuer returns an Issuer that sends its requests through a client.
func NewIssuer(cfg Grant, client *Client) *Issuer {
	i := &Issuer{cfg: cfg, http: &http.Client{
		Transport:     transport{client, cfg.Method == http.MethodGet},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	i.client = i.config(nil)
	return i
}

// Issue requests a token by the grant of the configuration, or by that of params (grant_type). The request is sent once,
// unless the grant is client_credentials and it is not known where the client's secret stands. Every error is an *Error.
func (i *Issuer) Issue(ctx context.Context, params map[string]string) (Token, error) {
	cfg := i.client
	if params != nil {
		cfg = i.config(params)
	}
	token, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, i.http))
	if err != nil {
		return Token{}, tokenError(err)
	}
	return Token{Access: token.AccessToken, Refresh: token.RefreshToken, Expiry: token.Expiry}, nil
}

// config returns the library's configuration. That of client credentials is the one that takes every parameter.
func (i *Issuer) config(params map[string]string) *clientcredentials.Config {
	c := &i.cfg
	cfg := &clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: c.TokenURL, EndpointParams: url.Values{}}
	if c.Scope != "" {
		cfg.Scopes = []string{c.Scope}
	}
	grant := cmp.Or(params["grant_type"], c.Type, GrantClient)
	for name, value := range c.Params {
		cfg.EndpointParams.Set(name, value)
	}
	if grant == GrantPassword {
		cfg.EndpointParams.Set("username", c.Username)
		cfg.EndpointParams.Set("password", c.Password)
	}
	for name, value := range params {
		cfg.EndpointParams.Set(name, value)
	}
	cfg.EndpointParams.Set("grant_type", grant)
	switch {
	case c.ClientAuth == authHeader:
		cfg.AuthStyle = oauth2.AuthStyleInHeader
	case c.ClientAuth == authBody, grant != GrantClient, c.Method == http.MethodGet:
		// To find the place out takes two requests, of which the first may use up a refresh token or a code.
		cfg.AuthStyle = oauth2.AuthStyleInParams
	}
	return cfg
}

// RefusedToken is the cause of an Error if the server refused to issue a token.
type RefusedToken struct {
	Status int
	Code   string // of RFC 6749, such as invalid_grant; empty if the server named none
	// Location is where a redirect points, without its query, which may repeat the request; empty for none. It is not
	// followed.
	Location string
}

// Error returns the status and the code.
func (e *RefusedToken) Error() string {
	if e.Code == "" {
		return "get token: " + statusText(e.Status, e.Location)
	}
	return fmt.Sprintf("get token: status %d, %s", e.Status, e.Code)
}

// codePattern matches the codes of errors of token endpoints. Other texts may repeat a secret.
var codePattern = regexp.MustCompile(`^[a-z][a-z_]{2,39}$`)

func errorCode(code string) string {
	if codePattern.MatchString(code) {
		return code
	}
	return ""
}

// tokenError returns why there is no token, without the server's text, which the
// library quotes.
func tokenError(err error) *Error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		status := refused.Response.StatusCode
		location, _, _ := strings.Cut(refused.Response.Header.Get("Location"), "?")
		return &Error{Class: ClassToken, Status: status, Sent: true, Err: &RefusedToken{Status: status, Code: errorCode(refused.ErrorCode), Location: location}}
	}
	var w *Error
	if errors.As(err, &w) {
		return &Error{Class: w.Class, Host: w.Host, Sent: w.Sent, Err: fmt.Errorf("get token: %w", w.Err)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Class: ClassTimeout, Err: errors.New("get token: deadline passed")}
	}
	return &Error{Class: ClassToken, Sent: true, Err: errors.New("get token: the response is not a token")}
}

// isPage reports whether a response is a page for people.
func isPage(body []byte) bool {
	body = bytes.TrimSpace(body)
	start := bytes.ToLower(body[:min(len(body), 15)])
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// transport sends the library's requests through our client, with its limits.
type transport struct {
	client *Client
	get    bool // sends the parameters in the URL
}

// RoundTrip sends one request.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	req := &Request{Method: r.Method, URL: r.URL.String(), ContentType: r.Header.Get("Content-Type")}
	req.Header = append(req.Header, [2]string{"Accept", "application/json"})
	if auth := r.Header.Get("Authorization"); auth != "" {
		req.Header = append(req.Header, [2]string{"Authorization", auth})
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	if t.get {
		separator := "?"
		if strings.Contains(req.URL, "?") {
			separator = "&"
		}
		req.Method, req.URL, req.Body, req.ContentType = http.MethodGet, req.URL+separator+string(req.Body), nil, ""
	}
	deadline, ok := r.Context().Deadline()
	if !ok {
		deadline = time.Now().Add(TokenWait)
	}
	resp, err := t.client.Do(req, deadline)
	if err != nil {
		return nil, err
	}
	if resp.Status <= 299 && isPage(resp.Body) {
		return nil, &Error{Class: ClassToken, Sent: true, Err: errors.New("the response is a page for people, such as a login: is token_url right?")}
	}
	return &http.Response{
		StatusCode: resp.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {resp.ContentType}, "Location": {resp.Location}},
		Body:   io.NopCloser(bytes.NewReader(resp.Body)), ContentLength: int64(len(resp.Body)),
	}, nil
}
