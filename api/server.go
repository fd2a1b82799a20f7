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

	"ringhook/accept"
	"ringhook/loglimit"
)

// MaxConnections is the maximum number of connections served at once. One address may have a
// quarter of them.
const MaxConnections = 256

// Server is the HTTP server for metrics, health and the API.
type Server struct {
	http    *fasthttp.Server
	log     *slog.Logger
	limited *loglimit.Limiter // of the API
}

// Serve serves a listener until Shutdown, which closes it and makes Serve return nil.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(newFairListener(l, max(1, s.http.Concurrency/4), s.log))
}

// ServeLocal serves a socket of this machine, whose requests need no token, until Shutdown.
func (s *Server) ServeLocal(l net.Listener) error {
	return s.http.Serve(accept.Patient(l, cannotAccept, s.log))
}

// Shutdown stops accepting and waits until ctx ends for the requests in progress.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.ShutdownWithContext(ctx)
	s.limited.Close()
	return err
}

// NewServer returns a server with at most the given number of connections. Readiness reports whether new calls should be
// sent to this instance; the note says why not, or what is not as usual.
func NewServer(a *API, connections int, registry *prometheus.Registry, readiness func() (note string, ready bool), log *slog.Logger) *Server {
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return &Server{log: log, limited: a.limited, http: &fasthttp.Server{
		Name: "ringhook", ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		ReadBufferSize: 8 << 10, MaxRequestBodySize: 1 << 20, Concurrency: connections, CloseOnShutdown: true, NoDefaultServerHeader: true,
		Logger: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' mistakes
		Handler: guarded(registry, a.limited, func(r *fasthttp.RequestCtx) {
			if bytes.HasPrefix(r.URI().PathOriginal(), []byte(apiPrefix)) { // Path applies a .. of an id
				a.serve(r)
				return
			}
			if a.poll(r) || a.serveYemot(r) || a.serveClick(r) {
				return
			}
			if !r.IsGet() && !r.IsHead() {
				r.Error("use GET\n", fasthttp.StatusMethodNotAllowed)
				return
			}
			switch string(r.Path()) {
			case "/metrics":
				metrics(r)
			case "/healthz":
				r.SetBodyString("ok\n")
			case "/readyz":
				switch note, ready := readiness(); {
				case !ready:
					r.Error(note+"\n", fasthttp.StatusServiceUnavailable)
				case note != "":
					r.SetBodyString("ready; " + note + "\n")
				default:
					r.SetBodyString("ready\n")
				}
			default:
				r.Error("no such path; there are /metrics, /healthz, /readyz, and the API under /v1/\n", fasthttp.StatusNotFound)
			}
		}),
	}}
}

// guarded recovers a panic of a handler, which fasthttp does not.
func guarded(reg prometheus.Registerer, limited *loglimit.Limiter, handler fasthttp.RequestHandler) fasthttp.RequestHandler {
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_http_panics_total", Help: "HTTP requests that ended in a panic, which is a bug.",
	})
	reg.MustRegister(panics)
	return func(r *fasthttp.RequestCtx) {
		defer func() {
			if v := recover(); v != nil {
				panics.Inc()
				limited.Error("panic", "HTTP request panicked", "path", string(r.Path()), "err", fmt.Sprint(v), "stack", string(debug.Stack()))
				r.Error("internal error; the log has the reason\n", fasthttp.StatusInternalServerError)
			}
		}()
		handler(r)
	}
}
