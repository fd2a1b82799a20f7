package httpclient

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ringhook/test/wait"
)

// T-HOOK-04: the status of an answer is known although its body is too large.
func TestStatusOfWhatIsTooLarge(t *testing.T) {
	for _, status := range []int{200, 404, 503} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write(make([]byte, 100<<10))
		}))
		c := newClient(t, ClientConfig{})
		_, err := c.Do(&Request{URL: server.URL}, in(wait.Limit))
		server.Close()
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassTooLarge || e.Status != status {
			t.Errorf("%d: got %+v", status, err)
		}
	}
}
