package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ringhook/hooks"
	"ringhook/store"
)

// crashFile, in the store's folder, is where Go's runtime writes why it ends the
// process if no recover can prevent it, as after a stack overflow. A process that is
// killed from outside writes nothing, so that no delivery is blamed.
const crashFile = "crash.log"

// crashRead bounds what is read of it. The goroutine at fault comes first.
const crashRead = 64 << 10

// trimCrash cuts the file to what is read of it: the traceback of many thousand
// goroutines must not take the room that the outbox needs.
func trimCrash(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() <= crashRead {
		return nil // readCrash reports what is wrong with it
	}
	return os.Truncate(path, crashRead)
}

// noteCrash reads how the last run crashed, if it did, and counts it against the
// delivery that was attempted by the goroutine at fault.
func noteCrash(folder string, o outbox, log *slog.Logger) {
	path := filepath.Join(folder, crashFile)
	text, at, err := readCrash(path)
	if err != nil {
		log.Warn("cannot read the crash file", "err", err)
	}
	if text == "" {
		return
	}
	why, _, _ := strings.Cut(text, "\n")
	delivery, ok := blamed(text)
	if !ok {
		log.Error("ringhook crashed in its last run", "at", at, "err", why)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	dead, err := o.Crashed(ctx, delivery, at, why)
	log.Error("ringhook crashed in its last run, in an attempt at a delivery", "at", at, "delivery", delivery, "given_up", dead, "err", why)
	if err != nil {
		log.Warn("crash not counted against its delivery", "delivery", delivery, "err", err)
	}
}

func readCrash(path string) (text string, at time.Time, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", at, nil
	}
	if err != nil {
		return "", at, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", at, err
	}
	read, err := io.ReadAll(io.LimitReader(f, crashRead))
	return string(read), info.ModTime(), err
}

// noFollow refuses a symbolic link and does not wait for a pipe: the folder may belong to
// another user.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// recordCrashes makes Go's runtime write to the file why it ends the process, and the
// delivery that each goroutine worked at.
func recordCrashes(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|noFollow, 0o600)
	if err != nil {
		return err
	}
	settings := strings.Trim(os.Getenv("GODEBUG")+",tracebacklabels=1", ",")
	return errors.Join(os.Setenv("GODEBUG", settings), debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
}

// goroutineHead matches the first line of a goroutine in a traceback. Goroutine 0 is the runtime's own.
var (
	goroutineHead = regexp.MustCompile(`(?m)^goroutine [1-9]\d* .*\]:$`)
	deliveryLabel = regexp.MustCompile(fmt.Sprintf(`%q: "(\d+)"`, hooks.DeliveryLabel))
)

// blamed returns the delivery that the goroutine at fault worked at. A traceback has that
// goroutine first.
func blamed(traceback string) (delivery int64, ok bool) {
	for _, asked := range []string{"SIGABRT:", "SIGQUIT:"} { // as systemd's watchdog sends
		if strings.HasPrefix(traceback, asked) {
			return 0, false
		}
	}
	found := deliveryLabel.FindStringSubmatch(goroutineHead.FindString(traceback))
	if found == nil {
		return 0, false
	}
	delivery, err := strconv.ParseInt(found[1], 10, 64)
	return delivery, err == nil
}
