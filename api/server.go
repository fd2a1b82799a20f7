package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

const (
	// MaxConnections is how many connections are served at once.
	MaxConnections = 256
	// share is how many of them one address may have.
	share = MaxConnections / 4
)

// Server is the HTTP server for metrics, health and the API.
type Server struct{ *fasthttp.Server }

// Serve serves a listener until Shutdown, which closes it.
func (s *Server) Serve(l net.Listener) error { return s.Server.Serve(newFairListener(l, share)) }

// Shutdown waits until ctx ends for the requests in progress.
func (s *Server) Shutdown(ctx context.Context) error { return s.ShutdownWithContext(ctx) }

// NewServer makes the server. Unready says why no new call should be sent here, empty
// where it should.
func NewServer(a *API, registry *prometheus.Registry, unready func() string, log *slog.Logger) *Server {
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return &Server{&fasthttp.Server{
		Name: "ringhook", ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		ReadBufferSize: 8 << 10, MaxRequestBodySize: 1 << 20, Concurrency: MaxConnections, CloseOnShutdown: true, NoDefaultServerHeader: true,
		Logger: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // of what clients do wrong
		Handler: guarded(registry, log, func(r *fasthttp.RequestCtx) {
			if bytes.HasPrefix(r.Path(), []byte(apiPrefix)) {
				a.serve(r)
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
				if problem := unready(); problem != "" {
					r.Error(problem+"\n", fasthttp.StatusServiceUnavailable)
					return
				}
				r.SetBodyString("ready\n")
			default:
				r.Error("here are /metrics, /healthz and /readyz, and the API under /v1/\n", fasthttp.StatusNotFound)
			}
		}),
	}}
}

// guarded keeps a panic of one request from ending the program: unlike
// net/http, fasthttp recovers none.
func guarded(reg prometheus.Registerer, log *slog.Logger, handler fasthttp.RequestHandler) fasthttp.RequestHandler {
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_http_panics_total", Help: "HTTP requests that ended in a panic, which is a bug.",
	})
	reg.MustRegister(panics)
	return func(r *fasthttp.RequestCtx) {
		defer func() {
			if v := recover(); v != nil {
				panics.Inc()
				log.Error("http request panicked", "path", string(r.Path()), "err", fmt.Sprint(v), "stack", string(debug.Stack()))
				r.Error("a bug, the log says more\n", fasthttp.StatusInternalServerError)
			}
		}()
		handler(r)
	}
}
