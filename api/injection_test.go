package api

import "testing"

// TestInjection puts hostile values into every parameter of every route.
func TestInjection(t *testing.T) {
	t.Parallel()
	s := serveAPI(t)
	s.Inject(s.web)
}

// TestYemotInjection does the same with every command of the Yemot dialect.
func TestYemotInjection(t *testing.T) {
	t.Parallel()
	s := serveAPI(t)
	s.InjectYemot(s.web+"/ym/api/", yemotToken)
}

// TestClickInjection does the same with click-to-call of other products.
func TestClickInjection(t *testing.T) {
	t.Parallel()
	s := serveAPI(t)
	s.InjectClicks(s.web)
}
