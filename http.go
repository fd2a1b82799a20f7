package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

const (
	// webConns is how many connections are served at once.
	webConns = 256
	// webShare is how many of them one address may have.
	webShare = webConns / 4
)

// newWeb makes the HTTP server for metrics, health and the API.
func (a *app) newWeb() *fasthttp.Server {
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	return &fasthttp.Server{
		Name: "ringhook", ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		ReadBufferSize: 8 << 10, MaxRequestBodySize: 1 << 20, Concurrency: webConns, CloseOnShutdown: true, NoDefaultServerHeader: true,
		Logger: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // of what clients do wrong
		Handler: a.guarded(func(r *fasthttp.RequestCtx) {
			if bytes.HasPrefix(r.Path(), []byte(apiPrefix)) {
				a.api.serve(r)
				return
			}
			if !r.IsGet() && !r.IsHead() {
				r.Error("only GET is understood here\n", fasthttp.StatusMethodNotAllowed)
				return
			}
			switch string(r.Path()) {
			case "/metrics":
				metrics(r)
			case "/healthz":
				r.SetBodyString("ok\n")
			case "/readyz":
				if problem := a.unready(); problem != "" {
					r.Error(problem+"\n", fasthttp.StatusServiceUnavailable)
					return
				}
				r.SetBodyString("ready\n")
			default:
				r.Error("here are /metrics, /healthz and /readyz, and the API under /v1/\n", fasthttp.StatusNotFound)
			}
		}),
	}
}

// guarded keeps a panic of one request from ending the program: unlike
// net/http, fasthttp recovers none.
func (a *app) guarded(handler fasthttp.RequestHandler) fasthttp.RequestHandler {
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_http_panics_total", Help: "HTTP requests that ended in a panic, which is a bug.",
	})
	a.registry.MustRegister(panics)
	return func(r *fasthttp.RequestCtx) {
		defer func() {
			if v := recover(); v != nil {
				panics.Inc()
				a.log.Error("http request panicked", "path", string(r.Path()), "err", fmt.Sprint(v), "stack", string(debug.Stack()))
				r.Error("a bug, the log says more\n", fasthttp.StatusInternalServerError)
			}
		}()
		handler(r)
	}
}

// unready says why no new call should be sent here, empty where it should.
func (a *app) unready() string {
	if a.draining.Load() {
		return "stopping"
	}
	if err := a.store.Ready(); err != nil {
		return err.Error()
	}
	return ""
}
