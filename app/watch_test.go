package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ringhook/conf"
)

const (
	rules     = "../contrib/prometheus/ringhook.rules.yml"
	dashboard = "../contrib/grafana/ringhook.json"
)

// exported lists the metrics that a ringhook with one lookup and one hook has
// before the first call.
func exported(t *testing.T) (names []string) {
	t.Helper()
	cfg, err := conf.Parse("ringhook.toml", []byte(`
[fastagi]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[[lookup]]
name = "crm"
points = ["queue-dial"]
url = "http://127.0.0.1:1/who"
[[lookup]]
name = "new"
points = ["queue-dial"]
url = "http://127.0.0.1:1/new"
shadow = true
[[hook]]
name = "journal"
events = ["*"]
url = "http://127.0.0.1:1/cti"
`), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store.Folder = t.TempDir()
	a, err := New(cfg, slog.New(slog.DiscardHandler), Build{})
	if err != nil {
		t.Fatal(err)
	}
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetType().String() == "HISTOGRAM" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names = append(names, f.GetName()+part)
			}
			continue
		}
		names = append(names, f.GetName())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Run(ctx, nil, nil); err != nil { // it ends at once, in order
		t.Fatal(err)
	}
	return names
}

// TestWatched wants the dashboard and the alert rules to speak of metrics that
// there are, and the dashboard of all of them.
func TestWatched(t *testing.T) {
	names := exported(t)
	metric := regexp.MustCompile(`ringhook_[a-z_]+`)
	for _, file := range []string{rules, dashboard} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metric.FindAllString(string(text), -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s speaks of %s, which is not exported", file, name)
			}
		}
		if file == dashboard {
			if !json.Valid(text) {
				t.Errorf("%s is no JSON", file)
			}
			for _, name := range names {
				base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count"), "_bucket")
				if strings.HasPrefix(name, "ringhook_") && !strings.Contains(string(text), base) {
					t.Errorf("%s does not show %s", file, name)
				}
			}
		}
	}
}

// TestRules has promtool check the alert rules and play their tests.
func TestRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("the alert rules are not tried: promtool is not installed (Debian has it in the package prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", "../contrib/prometheus/ringhook.test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
