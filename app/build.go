package app

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Build is what was stamped into the program.
type Build struct {
	Version  string // "dev" if the Makefile did not build it
	Revision string // the commit; empty if unknown
}

// RevisionOr returns the commit of the program, or unknown.
func (b Build) RevisionOr(unknown string) string {
	if b.Revision != "" {
		return b.Revision
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return unknown
}

// register exports what runs here.
func (b Build) register(reg prometheus.Registerer) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ringhook_build_info", Help: "Always 1; the labels say what runs here.",
	}, []string{"version", "revision", "go_version"})
	reg.MustRegister(build)
	build.WithLabelValues(b.Version, b.RevisionOr(""), runtime.Version()).Set(1)
}
