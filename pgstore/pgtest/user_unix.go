//go:build unix

package pgtest

import (
	"os"
	"syscall"
)

// unprivileged is the user as which the server runs if the tests run as root. It needs no entry in the passwd file.
const unprivileged = 65534

// otherUser returns the attributes of a process of another user, nil if the tests do not run as root.
func otherUser() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
}

// own makes the user of the server the owner of a folder.
func (s *Server) own(folder string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(folder, unprivileged, unprivileged)
}
