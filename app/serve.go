package app

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"ringhook/conf"
)

// Options are what Serve is started with.
type Options struct {
	Load  func() (*conf.Config, error) // reads the configuration: at the start, and at each SIGHUP
	Level string                       // the least level that is logged
	Log   io.Writer                    // where the log goes
	Build Build
}

// Serve runs the service until ctx ends.
func Serve(ctx context.Context, o Options) error {
	// A signal that comes before all is built would end the program.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg, err := o.Load()
	if err != nil {
		return err
	}
	// Where the log is a pipe whose reader dies, Go would end the program.
	// Where a file may not grow (LimitFSIZE), too: that is an error to handle.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	lines := newLogWriter(o.Log)
	defer lines.Close()
	log := newLogger(lines, o.Level)
	warn(cfg, log)
	fitSessions(cfg, log)
	if err := trimCrash(filepath.Join(cfg.Store.Folder, crashFile)); err != nil {
		log.Warn("cannot shorten the crash file", "err", err)
	}
	a, err := New(cfg, log, o.Build)
	if err != nil {
		return err
	}
	a.lines = lines
	noteCrash(a.store, log)
	if err := recordCrashes(filepath.Join(a.store.Folder(), crashFile)); err != nil {
		log.Warn("a crash of ringhook will be told on standard error only", "err", err)
	}
	err = a.Run(ctx, hup, o.Load)
	log.Info("stopped")
	return err
}

// warn tells what is doubtful in a configuration that is put in force.
func warn(cfg *conf.Config, log *slog.Logger) {
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
}

func newLogger(out io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: l}
	if l > slog.LevelDebug {
		opts.ReplaceAttr = maskNumbers
	}
	return slog.New(slog.NewTextHandler(out, opts))
}
