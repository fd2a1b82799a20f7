package account

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// Config is one [[account]] table.
type Config struct {
	// Name is what account of lookups and hooks names.
	Name string `toml:"name"`
	// OAuth2 requests tokens by one of the grants.
	OAuth2 httpclient.Grant `toml:"oauth2"`
	// Login are requests that begin a session, in their order. The last one takes the value session.
	Login []Step `toml:"login"`
	// Life is the time for which a session is used. 0 is until the server does not accept it.
	Life time.Duration `toml:"life"`
	// Expired is an expression of jq that is true for an answer which means that the token or session has ended,
	// beside status 401.
	Expired string `toml:"expired"`
	// Scheme stands before the token in the header Authorization. Empty is Bearer.
	Scheme string `toml:"scheme"`
	// Header is the header that holds the token alone, in place of Authorization.
	Header string `toml:"header"`
	// Query is the parameter of the URL that holds the token, in place of a header.
	Query string `toml:"query"`
	// Rate is the maximum number of requests that carry the token in a time, such as 2/s, 100/m or 1000/h, of all lookups,
	// hooks and lists of the account together; empty is no limit. Burst is the number that may be made at once after a pause,
	// 1 to 10,000; 0 is 1.
	Rate  string `toml:"rate"`
	Burst int    `toml:"burst"`
	// CAFile, CertFile and KeyFile are for the connection to the token endpoint, as those of lookups.
	CAFile   string `toml:"ca_file"`
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// Environment holds the values that came from environment variables.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Config) SetEnvironment(values []string) { c.Environment = values }

// Step is one request of a login.
type Step struct {
	URL    string `toml:"url"`
	Method string `toml:"method"`
	// Body is sent. BodyType is form, json, xml or text, and decides how placeholders are escaped.
	Body     string            `toml:"body"`
	BodyType string            `toml:"body_type"`
	Headers  map[string]string `toml:"headers"`
	// Values are texts that placeholders of this request name, such as the two parts of what :md5 digests.
	Values map[string]string `toml:"values"`
	// Take are expressions of jq over the answer, by the names of the values.
	Take map[string]string `toml:"take"`
}

// session is the name of the value that is the token.
const session = "session"

const (
	maxSteps = 3
	maxLife  = 30 * 24 * time.Hour
)

var namePattern = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if !namePattern.MatchString(c.Name) {
		report("name", fmt.Sprintf("%q is not a name for an account: 1 to 32 small letters, digits, underscores and hyphens", c.Name))
	}
	switch {
	case c.OAuth2.IsZero() && len(c.Login) == 0:
		report("oauth2", "is missing, and so is login: one of them says how the account gets its token")
	case !c.OAuth2.IsZero() && len(c.Login) > 0:
		report("login", "stands beside oauth2: leave one of the two out")
	}
	c.OAuth2.Check(func(key, problem string) { report("oauth2."+key, problem) })
	c.checkLogin(report)
	if c.Life < 0 || c.Life > maxLife {
		report("life", "must be 0 to 720h")
	}
	if c.Life > 0 && len(c.Login) == 0 {
		report("life", "is for login: a token of oauth2 says itself when it ends")
	}
	if _, err := newExpired(c.Expired); err != nil {
		report("expired", err.Error())
	}
	places := 0
	for _, place := range []string{c.Scheme, c.Header, c.Query} {
		if place != "" {
			places++
		}
	}
	if places > 1 {
		report("scheme", "header and query exclude each other: the token stands in one place")
	}
	if c.Scheme != "" && !regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,40}$`).MatchString(c.Scheme) {
		report("scheme", fmt.Sprintf("%q is not the scheme of an Authorization header, such as Zoho-oauthtoken", c.Scheme))
	}
	if c.Header != "" {
		if err := httpclient.CheckHeader(c.Header, "", "authorization", "content-type"); err != nil {
			report("header", err.Error())
		}
	}
	if strings.ContainsAny(c.Query, "=&# \r\n") || len(c.Query) > 80 {
		report("query", "is not the name of a parameter")
	}
	httpclient.ParseRate(c.Rate, c.Burst, report)
	if _, err := c.credentials().TLS(); err != nil {
		report("cert_file", "key_file or ca_file cannot be used: "+err.Error())
	}
}

// digestFiles returns a digest of the files of the connection.
func (c *Config) digestFiles() [sha256.Size]byte {
	return httpclient.DigestFiles(c.CAFile, c.CertFile, c.KeyFile)
}

// credentials returns the files of the connection in the form of the HTTP client.
func (c *Config) credentials() *httpclient.Credentials {
	return &httpclient.Credentials{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
}

// checkLogin reports steps that cannot work. A placeholder must name a value, or what an earlier step takes.
func (c *Config) checkLogin(report func(key, problem string)) {
	if len(c.Login) > maxSteps {
		report("login", fmt.Sprintf("has more than %d requests", maxSteps))
		return
	}
	taken := map[string]bool{}
	for i := range c.Login {
		s := &c.Login[i]
		compiled, err := newStep(s)
		if err != nil {
			report("login", fmt.Sprintf("request %d: %v", i+1, err))
			continue
		}
		for name := range s.Values {
			taken[name] = true
		}
		names, unclosed := compiled.names()
		for _, name := range names {
			if !taken[name] {
				report("login", fmt.Sprintf("request %d: %%%s%% is neither in values nor taken by an earlier request", i+1, name))
			}
		}
		for _, name := range unclosed {
			if taken[name] {
				report("login", fmt.Sprintf("request %d: %%%s is a placeholder that is not closed: write %%%s%%", i+1, name, name))
			}
		}
		for name := range s.Take {
			taken[name] = true
		}
		if last := i == len(c.Login)-1; last && s.Take[session] == "" {
			report("login", `the last request takes no session: set take = { session = ".result.sessionName" }`)
		}
	}
}

// newExpired returns the function that evaluates an expression of jq over an answer; nil for an empty expression.
func newExpired(expression string) (func(*httpclient.Response) bool, error) {
	if expression == "" {
		return nil, nil
	}
	read, err := newTaker(map[string]string{"expired": expression})
	if err != nil {
		return nil, err
	}
	return func(resp *httpclient.Response) bool {
		values, err := read(resp)
		return err == nil && values["expired"] == "true"
	}, nil
}

// newTaker returns a function that evaluates expressions of jq over an answer.
func newTaker(expressions map[string]string) (func(*httpclient.Response) (map[string]string, error), error) {
	reader, err := answer.NewReader(answer.Config{Format: "json", Map: expressions, Time: readTime})
	if err != nil {
		return nil, err
	}
	return func(resp *httpclient.Response) (map[string]string, error) {
		ctx, cancel := timeoutOf(readTime)
		defer cancel()
		result, err := reader.Read(ctx, resp.Body, resp.ContentType)
		if err != nil {
			return nil, err
		}
		values := map[string]string{}
		for _, record := range result.Records {
			for _, v := range record {
				values[v.Name] = v.Value
			}
		}
		return values, nil
	}, nil
}
