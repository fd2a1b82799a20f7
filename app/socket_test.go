package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/conf"
)

// TestSocketOfLongFolder checks that ringhook reload works whatever the length of the path of the store's folder.
func TestSocketOfLongFolder(t *testing.T) {
	cfg, err := conf.Parse("ringhook.toml", []byte("[fastagi]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store.Folder = filepath.Join(t.TempDir(), strings.Repeat("long", 50))
	if _, err := Reload(t.Context(), cfg.Store.Folder); !errors.Is(err, ErrNotServing) {
		t.Errorf("without a server: %v", err)
	}
	var log strings.Builder
	a, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)), Build{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- a.Run(ctx, nil, func() (*conf.Config, error) { return nil, errors.New("the file is wrong") })
	}()
	var done *Reloaded
	for err = ErrNotServing; errors.Is(err, ErrNotServing) && len(ended) == 0; {
		done, err = Reload(t.Context(), cfg.Store.Folder)
	}
	if err != nil || done.Error != "the file is wrong" {
		t.Errorf("got %+v, %v", done, err)
	}
	for err = ErrNotServing; errors.Is(err, ErrNotServing) && len(ended) == 0; {
		var resp *http.Response
		if resp, err = Client(cfg.Store.Folder).Get("http://ringhook/v1/hooks"); err == nil {
			resp.Body.Close()
		}
	}
	if err != nil {
		t.Errorf("the API: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "will not work") {
		t.Errorf("log:\n%s", &log)
	}
	for _, name := range []string{socketFile, apiSocketFile} {
		if _, err := os.Lstat(filepath.Join(cfg.Store.Folder, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
}
