package fastagi

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reason says why a session was refused; it is a metric's label.
type reason int

const (
	refusedPeer reason = iota
	refusedBusy
	refusedEnvironment
	reasons
)

var reasonNames = [reasons]string{"peer", "busy", "environment"}

// logInterval is the time within which a refusal is logged once.
const logInterval = time.Second

// refusals counts what was refused, and complains of it in measure.
type refusals struct {
	log     *slog.Logger
	counts  [reasons]prometheus.Counter
	panics  prometheus.Counter
	mu      sync.Mutex
	next    [reasons]time.Time // guarded by mu
	skipped [reasons]int       // guarded by mu
	accept  time.Time          // guarded by mu
}

func newRefusals(log *slog.Logger, reg prometheus.Registerer) *refusals {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ringhook_agi_refused_total",
		Help: "FastAGI connections that were not served.",
	}, []string{"reason"})
	r := &refusals{
		log: log,
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_agi_panics_total",
			Help: "FastAGI sessions that ended in a panic, which is a bug.",
		}),
	}
	for i, name := range reasonNames {
		r.counts[i] = refused.WithLabelValues(name)
	}
	reg.MustRegister(refused, r.panics)
	return r
}

// refuse counts one refusal, and logs it unless one of its kind was logged
// within a second.
func (r *refusals) refuse(now time.Time, why reason, peer netip.Addr, channel string, err error) {
	r.counts[why].Inc()
	r.mu.Lock()
	if now.Before(r.next[why]) {
		r.skipped[why]++
		r.mu.Unlock()
		return
	}
	skipped := r.skipped[why]
	r.next[why], r.skipped[why] = now.Add(logInterval), 0
	r.mu.Unlock()
	r.log.Warn("agi session refused", "reason", reasonNames[why], "peer", peer, "channel", channel, "err", err, "not_logged", skipped)
}

// acceptFailed logs that a listener accepts no connection.
func (r *refusals) acceptFailed(err error) {
	now := time.Now()
	r.mu.Lock()
	due := !now.Before(r.accept)
	if due {
		r.accept = now.Add(logInterval)
	}
	r.mu.Unlock()
	if due {
		r.log.Error("cannot accept agi sessions; trying again", "err", err)
	}
}
