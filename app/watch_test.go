package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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
// before the first call, and those of one whose PostgreSQL is away.
func exported(t *testing.T) (names []string) {
	t.Helper()
	for _, store := range []string{"", "[store]\ntype = \"postgres\"\ndsn = \"host=127.0.0.1 port=1 user=ringhook dbname=ringhook\"\n"} {
		for _, name := range exportedBy(t, store) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func exportedBy(t *testing.T, store string) (names []string) {
	t.Helper()
	cfg, err := conf.Parse("ringhook.toml", []byte(store+`
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
[[ami]]
name = "pbx"
address = "127.0.0.1:1"
username = "ringhook"
secret = "not a secret"
[desk]
listen = "127.0.0.1:0"
url = "http://127.0.0.1"
[[account]]
name = "crm"
oauth2 = { token_url = "http://127.0.0.1:1/", client_id = "a", client_secret = "not a secret" }
[[agents]]
name = "crm"
url = "http://127.0.0.1:1/"
records = ".[]"
map = { id = ".id", phone = ".phone" }
[[click_from]]
name = "crm"
secret = "not a secret"
secret_at = "s"
agent = "a"
number = "n"
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

// TestWatched checks that the dashboard and the alert rules use only metrics that exist,
// and that the dashboard shows all of them.
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
				t.Errorf("%s uses %s, which is not exported", file, name)
			}
		}
		if file == dashboard {
			if !json.Valid(text) {
				t.Errorf("%s is not JSON", file)
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

// promtool runs a command of Prometheus.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian has it in the package prometheus)")
	}
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestRules checks the alert rules, and runs their tests.
func TestRules(t *testing.T) {
	promtool(t, "check", "rules", rules)
	promtool(t, "test", "rules", "../contrib/prometheus/ringhook.test.yml")
}

// TestRunbook checks that every alert rule points at its heading of the runbook.
func TestRunbook(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read("../docs/faults.md"), -1) {
		headings[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	alerts := strings.Split(read(rules), "- alert: ")[1:]
	if len(alerts) < 13 {
		t.Fatalf("%s has %d alerts", rules, len(alerts))
	}
	url := regexp.MustCompile(`runbook_url: "file:///usr/share/doc/ringhook/docs/faults.md#([a-z-]+)"`)
	for _, alert := range alerts {
		name, rest, _ := strings.Cut(alert, "\n")
		m := url.FindStringSubmatch(rest)
		if m == nil || m[1] != strings.ToLower(name) || !headings[m[1]] {
			t.Errorf("%s has no runbook_url that points at its heading in docs/faults.md: %q", name, m)
		}
	}
}

// TestDashboard checks that every query of the dashboard has a result at the default
// scrape interval of Prometheus, a minute, for which Grafana's $__rate_interval is 4m.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	type query struct {
		Expr string `json:"expr"`
	}
	var page struct {
		Annotations struct {
			List []query `json:"list"`
		} `json:"annotations"`
		Panels []struct {
			Title   string  `json:"title"`
			Targets []query `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &page); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, a := range page.Annotations.List {
		queries = append(queries, a.Expr)
	}
	for _, p := range page.Panels {
		for _, q := range p.Targets {
			queries = append(queries, q.Expr)
		}
	}
	if len(queries) < 40 {
		t.Fatalf("%d queries found", len(queries))
	}
	var b strings.Builder
	b.WriteString("evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	series := make(map[string]bool)
	add := func(name, labels, values string) {
		if s := name + `{instance="pbx",` + labels + "}"; !series[s] {
			series[s] = true
			fmt.Fprintf(&b, "      - { series: '%s', values: '%s' }\n", s, values)
		}
	}
	for _, name := range regexp.MustCompile(`ringhook_[a-z_]+`).FindAllString(string(text), -1) {
		switch {
		case strings.HasSuffix(name, "_bucket"):
			add(name, `le="0.1"`, "0+30x120")
			add(name, `le="+Inf"`, "0+60x120")
		case name == "ringhook_events_total":
			for _, event := range []string{"call-dial", "queue-hangup", "queue-abandon"} {
				add(name, fmt.Sprintf("event=%q", event), "0+60x120")
			}
		case name == "ringhook_agi_sessions_total":
			add(name, `status="FOUND"`, "0+60x120")
		case name == "ringhook_build_info":
			add(name, `version="1"`, "1x59 _x60")
			add(name, `version="2"`, "_x60 1x60") // since minute 60
		default:
			add(name, `hook="crm"`, "0+60x120")
		}
	}
	b.WriteString("    promql_expr_test:\n")
	for _, q := range queries {
		if strings.Contains(q, "[1m]") || strings.Contains(q, "[5m]") {
			t.Errorf("%s: a fixed range is empty or too long at other scrape intervals", q)
		}
		q = strings.NewReplacer("$instance", ".*", "$__rate_interval", "4m").Replace(q)
		fmt.Fprintf(&b, "      - { eval_time: 60m, expr: '(count(%s) > bool 0)', exp_samples: [ { labels: '{}', value: 1 } ] }\n", q)
	}
	file := filepath.Join(t.TempDir(), "dashboard.test.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}
