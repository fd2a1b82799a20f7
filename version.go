package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version and revision are stamped by the Makefile.
var (
	version  = "dev"
	revision = ""
)

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s *streams) error {
	fmt.Fprintf(s.out, "ringhook %s (%s, %s)\n", version, revisionOr("no revision"), runtime.Version())
	return nil
}

// revisionOr is the commit that the program was built from.
func revisionOr(unknown string) string {
	if revision != "" {
		return revision
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

// registerBuild exports what runs here.
func registerBuild(reg prometheus.Registerer) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ringhook_build_info", Help: "Always 1; the labels say what runs here.",
	}, []string{"version", "revision", "go_version"})
	reg.MustRegister(build)
	build.WithLabelValues(version, revisionOr(""), runtime.Version()).Set(1)
}
