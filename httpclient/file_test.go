package httpclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestFile checks a request with a file: it arrives whole, the connection is used again, a refusal is read although
// the server takes no more of the file, and a file that became shorter is an error.
func TestFile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/full" {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(body, append(append([]byte("before "), content...), " after"...)) {
			t.Errorf("%d bytes", len(body))
		}
		io.WriteString(w, r.RemoteAddr)
	}))
	defer server.Close()
	client, err := NewClient(ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func(path string, size int64) (*Response, error) {
		return client.Do(&Request{Method: http.MethodPost, URL: server.URL + path, Body: []byte("before "),
			File: &File{ReaderAt: bytes.NewReader(content), Size: size, Tail: []byte(" after")}}, time.Now().Add(wait.Limit))
	}
	first, err := send("/", int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	second, err := send("/", int64(len(content)))
	if err != nil || string(first.Body) != string(second.Body) {
		t.Errorf("from %s and %s, %v", first.Body, second.Body, err)
	}
	var failure *Error
	if _, err = send("/", int64(len(content))+1); !errors.As(err, &failure) || failure.Class != ClassRequest {
		t.Errorf("a file that became shorter: %v", err)
	}
	// The refusal may be lost with the connection, which is a failure then, and no success.
	if resp, err := send("/full", int64(len(content))); err == nil && resp.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v", resp)
	}
}
