package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control"
	"ringhook/store"
	"ringhook/test/wait"
)

func TestLive(t *testing.T) {
	live := control.New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer live.Close()
	st, err := store.Open(store.Config{Folder: t.TempDir()}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	a := New(slog.New(slog.DiscardHandler), st.Desk(), st.Cache(), st.Browse(), live, nil)
	get := func(path, server string) (any, error) {
		var query fasthttp.Args
		if server != "" {
			query.Set("server", server)
		}
		route, parts, _ := find("GET", path, false)
		return route.do(a, t.Context(), &settings{}, &request{who: control.Administrator("the test"), query: &query, parts: parts})
	}
	refused := func(path, server, code string, status int) {
		t.Helper()
		answer, err := get(path, server)
		var r *refusal
		if !errors.As(err, &r) || r.code != code || r.status != status {
			t.Errorf("%s, server %q: got %v, %v, want %s", path, server, answer, err, code)
		}
	}
	refused("/v1/queues", "", "away", 503)
	refused("/v1/queues", "pbx", "unknown", 404)

	var configs []ami.Config
	var last *amitest.Server
	for _, name := range []string{"one", "two"} {
		s := amitest.New()
		defer s.Close()
		last = s
		s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: sales/1", "Strategy: ringall"),
			amitest.Text("Event: QueueParams", "Queue: only-"+name, "Strategy: linear"))
		s.AnswerList("CoreShowChannels", amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/101-1", "Uniqueid: "+name+"-1.1", "Linkedid: "+name+"-1.1"))
		address, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, ami.Config{Name: name, Address: address, Username: amitest.Username, Secret: amitest.Secret})
	}
	servers, err := live.Prepare(configs)
	if err != nil {
		t.Fatal(err)
	}
	live.Exchange(servers)
	connected := func() bool {
		now := live.Live()
		return now.Servers[0].Connected && now.Servers[1].Connected
	}
	wait.Until(t, connected, "not connected")

	count := func(path, server, list string, want int) {
		t.Helper()
		answer, err := get(path, server)
		text, _ := json.Marshal(answer)
		var lists map[string]json.RawMessage
		var got []any
		if err == nil {
			err = json.Unmarshal(text, &lists)
		}
		if err == nil {
			err = json.Unmarshal(lists[list], &got)
		}
		if err != nil || len(got) != want {
			t.Errorf("%s, server %q: %s, %v, want %d", path, server, text, err, want)
		}
	}
	count("/v1/queues", "", "queues", 4)
	count("/v1/queues", "two", "queues", 2)
	count("/v1/queues", "two", "servers", 1)
	count("/v1/calls", "", "calls", 2)
	refused("/v1/queues/sales/1", "", "unclear", 409)
	refused("/v1/queues/none", "", "unknown", 404)
	refused("/v1/calls/none", "", "unknown", 404)
	if answer, err := get("/v1/queues/sales/1", "two"); err != nil || answer.(control.Queue).Server != "two" {
		t.Errorf("got %v, %v", answer, err)
	}
	if answer, err := get("/v1/calls/two-1.1", ""); err != nil || answer.(callReport).Channels[0].Channel != "PJSIP/101-1" {
		t.Errorf("got %v, %v", answer, err)
	}
	last.Close()
	wait.Until(t, func() bool { return !connected() }, "the second is still connected")
	for _, path := range []string{"/v1/queues/only-two", "/v1/calls/two-1.1", "/v1/phones/101"} {
		refused(path, "", "away", 503)
		refused(path, "one", "unknown", 404)
	}
	var query fasthttp.Args
	query.Set("sever", "two")
	if _, err := a.live(&request{query: &query}); err == nil {
		t.Error("an unknown parameter was accepted")
	}
}
