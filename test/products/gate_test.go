package products

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"ringhook/conf"
	"ringhook/httpclient"
)

// The states of a product.
type state int

const (
	up          state = iota
	unavailable       // it answers 503
	silent            // it closes connections without an answer
)

// gate stands between ringhook and a fake. It can make the product be down, end its tokens, and have ringhook killed.
type gate struct {
	*fake

	mu       sync.Mutex
	state    state
	refused  int // requests while the product was down
	hooks    int // requests of hooks that came to an up product, since they were last counted from 0
	tokens   int // requests for tokens
	expireAt int // the request of a hook with which the product ends all tokens; 0 for none
	ended    bool

	killAt     int    // the request of a hook after which ringhook is killed; 0 for none
	killTokens bool   // ringhook is killed after the next request for a token
	kill       func() // returns when ringhook has ended
	killed     bool
	open       chan struct{} // requests of hooks wait until it is closed; nil for none
	lists      []string      // paths of lists of agents, which are not played: the configuration has the ids
}

// newGate returns a gate of a product, and its address.
func newGate(t *testing.T, p *product) (g *gate, url string) {
	t.Helper()
	g = &gate{fake: &fake{t: t, product: p, ids: make(map[string]string)}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, server.URL
}

// set changes the state of the product.
func (g *gate) set(s state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
}

// isToken reports whether a request is one for a token or a session.
func (p *product) isToken(r *http.Request) bool {
	if p.login != nil {
		return p.login(r)
	}
	return p.isTokenPath(r)
}

// hasTokens reports whether the requests of a page's hooks carry tokens that end. A product with a login needs to say what its
// requests are.
func (p *product) hasTokens(t *testing.T, cfg *conf.Config) (has bool) {
	t.Helper()
	for i := range cfg.Shared {
		if len(cfg.Shared[i].Login) > 0 && p.login == nil {
			t.Fatalf("%s begins sessions by a login: set login and sessionEnded of the product in this test", p.name)
		}
	}
	for i := range cfg.Hooks {
		has = has || cfg.Hooks[i].Account != "" || cfg.Hooks[i].OAuth2 != (httpclient.OAuth2{})
	}
	return has
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fromHook := r.Header.Get("webhook-id") != ""
	g.mu.Lock()
	defer g.mu.Unlock()
	if open := g.open; open != nil && fromHook {
		g.mu.Unlock()
		<-open
		g.mu.Lock()
	}
	switch g.state {
	case unavailable:
		g.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case silent:
		g.refused++
		panic(http.ErrAbortHandler)
	}
	if !fromHook && slices.Contains(g.lists, r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	dies := false
	switch {
	case g.product.isToken(r):
		g.tokens++
		g.ended = false
		dies, g.killTokens = g.killTokens, false
	case fromHook:
		g.hooks++
		g.ended = g.ended || g.hooks == g.expireAt
		dies = g.hooks == g.killAt
	}
	if g.ended {
		status, body := http.StatusUnauthorized, `{"error": "token has ended"}`
		if g.product.sessionEnded != nil {
			status, body = g.product.sessionEnded()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
		return
	}
	if dies {
		// The product has taken the request and answered, and ringhook has stored nothing of the answer: that it dies before
		// the answer arrives is the same for both.
		g.fake.ServeHTTP(httptest.NewRecorder(), r)
		g.kill()
		g.killed = true
		panic(http.ErrAbortHandler)
	}
	g.fake.ServeHTTP(w, r)
}
