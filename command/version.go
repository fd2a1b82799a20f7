package command

import (
	"fmt"
	"runtime"
)

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s *streams) error {
	fmt.Fprintf(s.out, "ringhook %s (%s, %s)\n", s.build.Version, s.build.RevisionOr("no revision"), runtime.Version())
	return nil
}
