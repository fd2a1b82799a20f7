// Package pgtest runs a PostgreSQL server for tests.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/test/wait"
)

// bin returns the folder of the server's programs, empty if PostgreSQL is not installed.
func bin() string {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's, which are not in the PATH
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder
		}
	}
	return ""
}

// Server is a running server.
type Server struct {
	folder string
	bin    string
	server *exec.Cmd
	log    *buffer
	dog    *watchdog

	databases atomic.Int64
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Start starts a server for a package's tests. The error is nil, and so is the server, if PostgreSQL is not installed.
func Start() (*Server, error) {
	s := &Server{bin: bin(), log: &buffer{}}
	if s.bin == "" {
		return nil, nil
	}
	var err error
	// The path of a socket is short.
	if s.folder, err = os.MkdirTemp("/tmp", "ringhook-pg-"); err != nil {
		return nil, err
	}
	if err := s.own(s.folder); err != nil {
		return nil, err
	}
	if s.dog, err = s.startWatchdog(); err != nil {
		return nil, err
	}
	data := filepath.Join(s.folder, "data")
	init := s.command("initdb", "-D", data, "-U", "ringhook", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.Resume(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Main runs a package's tests with a server of their own, and returns their exit code. Before that it sets server, to nil if
// PostgreSQL is not installed.
func Main(m *testing.M, server **Server) (code int) {
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if *server = s; s != nil {
		defer s.Stop()
	}
	return m.Run()
}

// Resume starts a server that Halt has ended, and returns when it answers.
func (s *Server) Resume() error {
	data := filepath.Join(s.folder, "data")
	s.server = s.command("postgres", "-D", data, "-k", s.folder, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	s.server.Stdout, s.server.Stderr = s.log, s.log
	if err := s.server.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	return s.await()
}

// Halt ends the server without a checkpoint, as if it had crashed. Its data stay.
func (s *Server) Halt() {
	_ = s.server.Process.Signal(syscall.SIGQUIT)
	_ = s.server.Wait()
}

// Kill ends the server as the death of its machine does: its clients hear nothing.
func (s *Server) Kill() {
	_ = s.server.Process.Kill()
	_ = s.server.Wait()
}

// standbyName is how a standby calls itself.
const standbyName = "standby"

// Standby starts a copy of the server that follows it. When it returns, commits of the server wait for the standby, so they
// hang while it is away.
func (s *Server) Standby() (*Server, error) {
	c := &Server{bin: s.bin, log: &buffer{}}
	var err error
	if c.folder, err = os.MkdirTemp("/tmp", "ringhook-pg-"); err != nil {
		return nil, err
	}
	if err := c.own(c.folder); err != nil {
		return nil, err
	}
	if c.dog, err = c.startWatchdog(); err != nil {
		return nil, err
	}
	copied := c.command("pg_basebackup", "-D", filepath.Join(c.folder, "data"), "-d", s.DSN("postgres")+" application_name="+standbyName, "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if out, err := copied.CombinedOutput(); err != nil {
		c.Stop()
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	if err := c.Resume(); err != nil {
		c.Stop()
		return nil, err
	}
	if err := s.waitFor(standbyName); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Promote makes a standby a server of its own, which waits for no other.
func (s *Server) Promote() error {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_promote()"); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	return s.waitFor("")
}

// waitFor lets commits wait for a standby, or for none if it is empty, and returns when they do.
func (s *Server) waitFor(standby string) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, fmt.Sprintf("alter system set synchronous_standby_names = '%s'", standby)); err != nil {
		return fmt.Errorf("wait for the standby %q: %w", standby, err)
	}
	if _, err := conn.Exec(ctx, "select pg_reload_conf()"); err != nil {
		return fmt.Errorf("wait for the standby %q: %w", standby, err)
	}
	for {
		var is bool
		err := conn.QueryRow(ctx, `select case when $1 = '' then current_setting('synchronous_standby_names') = ''
			else exists (select from pg_stat_replication where application_name = $1 and sync_state = 'sync') end`, standby).Scan(&is)
		if err != nil {
			return fmt.Errorf("wait for the standby %q: %w", standby, err)
		}
		if is {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the standby %q: %w", standby, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// command returns a command that runs as another user if the tests run as root, which the server refuses.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.folder
	cmd.SysProcAttr = otherUser()
	return cmd
}

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Limit)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not start: %w", err)
		case <-time.After(pause):
		}
	}
}

// pause is the time between two attempts to connect.
const pause = 20 * time.Millisecond

// DSN returns the address of a database of the server.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s user=ringhook dbname=%s", s.folder, database)
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	if s.server.Process != nil {
		// Without data that are worth a checkpoint. It may have ended already.
		_ = s.server.Process.Signal(os.Interrupt)
		_ = s.server.Wait()
	}
	s.dog.end()
}

// Database creates an empty database, which lasts as long as the server. If there is no server, the test is skipped.
func (s *Server) Database(t testing.TB) (dsn string) {
	t.Helper()
	if s == nil {
		t.Skip("PostgreSQL is not installed: install Debian's package postgresql to run this test")
	}
	ctx := wait.Context(t)
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	defer conn.Close(ctx)
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		t.Fatal(err)
	}
	return s.DSN(name)
}
