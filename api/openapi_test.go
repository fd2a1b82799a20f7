package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"ringhook/control"
)

// TestOpenAPI checks that the description has every route with its method, its path's parts, its body, its answer and
// every code that it can answer with, and nothing else; and that all of its references lead somewhere.
func TestOpenAPI(t *testing.T) {
	text, err := json.Marshal(openAPI(routes))
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		OperationID string
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody *struct{ Required bool }
		Responses   map[string]struct {
			Description string
			Content     map[string]struct{ Schema map[string]any }
		}
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("version %q, %v", doc.OpenAPI, err)
	}
	described, ids := 0, map[string]string{}
	for _, methods := range doc.Paths {
		described += len(methods)
	}
	if described != len(routes) {
		t.Errorf("%d operations are described, there are %d routes", described, len(routes))
	}
	for _, r := range routes {
		name := r.method + " " + r.path
		o, ok := doc.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s is not described", name)
			continue
		}
		if r.about == "" || r.out == nil {
			t.Errorf("%s has no text or no answer", name)
		}
		if ids[o.OperationID] != "" {
			t.Errorf("%s and %s have the id %s", name, ids[o.OperationID], o.OperationID)
		}
		ids[o.OperationID] = name
		parts := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				parts++
				if !p.Required || !strings.Contains(r.path, "{"+p.Name+"}") {
					t.Errorf("%s: parameter %+v", name, p)
				}
			}
		}
		if parts != strings.Count(r.path, "{") {
			t.Errorf("%s has %d parts in its description", name, parts)
		}
		if (o.RequestBody != nil) != (r.in != nil) || r.in != nil && o.RequestBody.Required == r.optional {
			t.Errorf("%s: body %+v", name, o.RequestBody)
		}
		if _, ok := o.Responses[strconv.Itoa(r.success())].Content["application/json"]; !ok {
			t.Errorf("%s has no answer", name)
		}
		if _, several := r.out.(control.Results); several != (o.Responses["207"].Description != "") {
			t.Errorf("%s: 207 is described: %t", name, !several)
		}
		if !r.commands() {
			continue
		}
		for _, code := range control.Codes() {
			if !strings.Contains(o.Responses[strconv.Itoa(code.Status())].Description, string(code)) {
				t.Errorf("%s does not describe %s", name, code)
			}
		}
	}
	for rest := string(text); ; {
		_, after, found := strings.Cut(rest, `"$ref":"#/components/schemas/`)
		if !found {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		if doc.Components.Schemas[name]["type"] != "object" {
			t.Errorf("there is no schema %s", name)
		}
		rest = after
	}
}

// TestStatuses checks that every code has a status of HTTP, and a row in docs/api.md.
func TestStatuses(t *testing.T) {
	for _, code := range control.Codes() {
		if http.StatusText(code.Status()) == "" || code.Status() < 400 {
			t.Errorf("%s has the status %d", code, code.Status())
		}
	}
}

// TestMatch checks the parts of paths.
func TestMatch(t *testing.T) {
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/me", "/v1/me"},
		{"GET", "/v1/agents/7", "/v1/agents/{id} id=7"},
		{"POST", "/v1/agents/7/calls/pbx-1.2/hangup", "/v1/agents/{id}/calls/{linkedid}/hangup id=7 linkedid=pbx-1.2"},
		{"POST", "/v1/queues/sales/1/kick", "/v1/queues/{queue}/kick queue=sales/1"},
		{"GET", "/v1/queues/sales/kick", "/v1/queues/{queue} queue=sales/kick"},
		{"PUT", "/v1/queues/500/calls/1.2/priority", "/v1/queues/{queue}/calls/{call}/priority queue=500 call=1.2"},
		{"HEAD", "/v1/calls/1.2", "/v1/calls/{linkedid} linkedid=1.2"},
		{"POST", "/v1/queues//kick", ""},
		{"GET", "/v1/agents/", ""},
		{"POST", "/v1/agents//login", ""},
		{"GET", "/v1", ""},
		{"GET", "/v1/mee", ""},
	} {
		r, parts, _ := find(c.method, c.path, false)
		got := ""
		if r != nil {
			got = r.path
			for _, m := range part.FindAllStringSubmatch(r.path, -1) {
				got += " " + m[1] + "=" + parts[m[1]]
			}
		}
		if got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
}
