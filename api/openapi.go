package api

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/control"
)

// description answers with the OpenAPI description of all routes of the port.
func (a *API) description(_ context.Context, _ *settings, r *request) (any, error) {
	if r.other == nil {
		return openAPI(routes), nil
	}
	list := slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return !r.everywhere() })
	for _, o := range r.other.Own { // one of the same path is in the place of that of the API
		list = append(list, route{method: o.Method, path: o.Path, about: o.About, in: o.In, out: o.Out, status: o.Status, stream: o.Stream})
	}
	return openAPI(list), nil
}

// part matches a part of a path.
var part = regexp.MustCompile(`\{([a-z]+)\}`)

// openAPI describes routes, made from the same table that serves them.
func openAPI(routes []route) map[string]any {
	s := schemas{}
	paths := map[string]map[string]any{}
	for i := range routes {
		r := &routes[i]
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = s.operation(r)
	}
	s.of(reflect.TypeFor[failure]())
	return map[string]any{
		"openapi":    "3.1.0",
		"info":       map[string]any{"title": "ringhook", "version": "1", "description": "The HTTP API of ringhook: docs/api.md and docs/control.md explain it."},
		"security":   []any{map[string]any{"token": []any{}}},
		"paths":      paths,
		"components": map[string]any{"schemas": s, "securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}}},
	}
}

// operation describes one route.
func (s schemas) operation(r *route) map[string]any {
	var parameters []any
	for _, m := range part.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, name := range r.query {
		parameters = append(parameters, map[string]any{"name": name, "in": "query", "schema": map[string]any{"type": "string"}})
	}
	done := map[string]any{"description": "done"}
	switch {
	case r.stream:
		done["content"] = map[string]any{"text/event-stream": map[string]any{}}
	case r.out != nil:
		done["content"] = s.content(r.out)
	}
	answers := map[string]any{strconv.Itoa(r.success()): done}
	if _, several := r.out.(control.Results); several {
		answers["207"] = map[string]any{"description": "the results of the parts differ", "content": s.content(r.out)}
	}
	for status, codes := range r.failures() {
		answers[strconv.Itoa(status)] = map[string]any{"description": "code: " + strings.Join(codes, ", "), "content": s.content(failure{})}
	}
	o := map[string]any{"summary": r.about, "responses": answers, "operationId": strings.ToLower(r.method) + part.ReplaceAllString(strings.ReplaceAll(r.path, "/", "_"), "$1")}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if r.in != nil {
		o["requestBody"] = map[string]any{"required": !r.optional, "content": s.content(r.in)}
	}
	return o
}

// success returns the status of an answer that is no failure. Results have theirs from their parts.
func (r *route) success() int {
	if _, several := r.out.(control.Results); several {
		return http.StatusOK
	}
	if own, ok := r.out.(interface{ Status() int }); ok {
		return own.Status()
	}
	if r.status == 0 && r.out == nil && !r.stream {
		return http.StatusNoContent
	}
	return cmp.Or(r.status, http.StatusOK)
}

// failures returns the codes that a route can answer with, by their status.
func (r *route) failures() map[int][]string {
	codes := []control.Code{control.BadRequest, control.SignedOut, control.Forbidden, control.Unknown, control.Busy, control.Away}
	if r.commands() {
		codes = control.Codes()
	}
	by := map[int][]string{}
	for _, code := range codes {
		by[code.Status()] = append(by[code.Status()], string(code))
	}
	if r.in != nil {
		by[411], by[415] = []string{"none"}, []string{"none"}
	}
	return by
}

// commands reports whether a route asks Asterisk for something.
func (r *route) commands() bool {
	return slices.ContainsFunc([]string{"/v1/me", "/v1/agents", "/v1/calls", "/v1/queues", "/v1/phones", "/v1/campaigns", "/v1/accounts"}, func(base string) bool {
		return strings.HasPrefix(r.path, base)
	})
}

func (s schemas) content(v any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": s.of(reflect.TypeOf(v))}}
}

// schemas are those of named types, by name.
type schemas map[string]any

// of returns the schema of a type, as encoding/json writes it.
func (s schemas) of(t reflect.Type) any {
	if t == nil {
		return map[string]any{}
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	return map[string]any{}
}

// object returns a reference to the schema of a struct.
func (s schemas) object(t reflect.Type) any {
	name := strings.ReplaceAll(t.String(), ".", "_")
	if t.Name() == "" {
		name = "" // a struct without a name stands where it is used
	}
	if _, done := s[name]; !done {
		properties, required := map[string]any{}, map[string]bool{}
		if name != "" {
			s[name] = nil // a type may hold itself
		}
		s.fields(t, properties, required)
		o := map[string]any{"type": "object", "properties": properties}
		if len(required) > 0 {
			o["required"] = slices.Sorted(maps.Keys(required))
		}
		if name == "" {
			return o
		}
		s[name] = o
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

func (s schemas) fields(t reflect.Type, properties map[string]any, required map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			s.fields(f.Type, properties, required)
		default:
			if name == "" {
				name = f.Name
			}
			properties[name] = s.of(f.Type)
			if !strings.Contains(options, "omit") && f.Type.Kind() != reflect.Pointer {
				required[name] = true
			}
		}
	}
}
