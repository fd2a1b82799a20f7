package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ringhook/app"
)

// remoteTime bounds a request to the running service.
const remoteTime = 20 * time.Second

// maxAnswer is the maximum size of its answer, in bytes.
const maxAnswer = 64 << 20

// ask sends a request to the API of the running service, and reads the answer into out, also that of a command
// that was carried out in part. The error is that of the service.
func (s *streams) ask(method, path string, query url.Values, in, out any) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, remoteTime)
	defer cancel()
	address := (&url.URL{Scheme: "http", Host: "ringhook", Path: path, RawQuery: query.Encode()}).String()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if method == http.MethodGet {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := app.Client(cfg.Store.Folder).Do(req)
	if errors.Is(err, app.ErrNotServing) {
		return fmt.Errorf("%w %s: start it with ringhook serve", app.ErrNotServing, absolute(cfg.Store.Folder))
	}
	if err != nil {
		return fmt.Errorf("ask the running service: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the running service: %w", err)
	}
	var failed struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if resp.StatusCode >= http.StatusBadRequest {
		if err := json.Unmarshal(text, &failed); err != nil || failed.Error == "" {
			return fmt.Errorf("the service answered %s", resp.Status)
		}
		return fmt.Errorf("%s (%s)", failed.Error, failed.Code)
	}
	return json.Unmarshal(text, out)
}

// apiPath joins the parts of a path of the API.
func apiPath(parts ...string) string { return "/v1/" + strings.Join(parts, "/") }
