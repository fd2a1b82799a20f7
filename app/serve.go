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

// Options are the arguments of Serve.
type Options struct {
	Load  func() (*conf.Config, error) // reads the configuration: at the start and at each reload
	Hup   <-chan os.Signal             // a reload is asked for; one that waits at the start happens after it
	Level string                       // the lowest level that is logged; empty for that of the configuration
	Log   io.Writer                    // standard error
	Build Build
}

// Serve runs the service until ctx ends.
func Serve(ctx context.Context, o Options) error {
	load := func() (*conf.Config, error) {
		cfg, err := o.Load()
		if err == nil && o.Level != "" {
			cfg.Log.Level = o.Level
		}
		return cfg, err
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	// If the log is a pipe whose reader has gone, Go would end the program. So it would if
	// a file may not grow (LimitFSIZE); that is an error to handle.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	defer raiseHeap()()
	lines := newLogWriter(o.Log, isJournal(o.Log))
	defer lines.Close()
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Slog())
	log := newLogger(lines, level, lines.journal)
	warn(cfg, log)
	if err := trimCrash(filepath.Join(cfg.Store.Folder, crashFile)); err != nil {
		log.Warn("cannot shorten the crash file", "err", err)
	}
	a, err := New(cfg, log, o.Build)
	if err != nil {
		return err
	}
	a.lines, a.level = lines, level
	noteCrash(a.store.Folder(), a.data.outbox, log)
	if err := recordCrashes(filepath.Join(a.store.Folder(), crashFile)); err != nil {
		log.Warn("cannot write the crash file", "err", err, "hint", "the reason of a crash goes to standard error only")
	}
	err = a.Run(ctx, o.Hup, load)
	log.Info("stopped")
	return err
}

// warn logs the likely mistakes of a configuration that is put in force.
func warn(cfg *conf.Config, log *slog.Logger) {
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
}

// newLogger returns a logger of lines. Journal leaves out the time, which the journal has.
func newLogger(out io.Writer, level *slog.LevelVar, journal bool) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case journal && len(groups) == 0 && a.Key == slog.TimeKey:
			return slog.Attr{}
		case level.Level() > slog.LevelDebug:
			return maskNumbers(groups, a)
		}
		return a
	}}))
}
