package command

import (
	"fmt"
	"runtime"

	"ringhook/app"
)

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(s *streams) error {
	_, err := fmt.Fprintln(s.out, versionLine(s.build))
	return err
}

func versionLine(b app.Build) string {
	return fmt.Sprintf("ringhook %s (%s, %s)", b.Version, b.RevisionOr("no revision"), runtime.Version())
}
