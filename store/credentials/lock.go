package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ringhook/store/sqlite"
)

// lockEvery is the time between two attempts to get a lock that another process holds.
const lockEvery = 20 * time.Millisecond

// Lock waits until no other process and no other goroutine holds the lock of an account, or until ctx ends. The system
// frees the lock of a process that ends. It is part of account.Vault.
func (s *Credentials) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	path := filepath.Join(s.folder, "account-"+name+".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		sqlite.GiveToOwner(f)
	} else if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock of an account: %w", err)
	}
	ticker := time.NewTicker(lockEvery)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock an account: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("another request for a token is in progress"), f.Close())
		case <-ticker.C:
		}
	}
}
