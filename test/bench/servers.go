package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// bench is one running measure.
type bench struct {
	plan
	folder  string // of all programs and files; removed at the end
	servers []*server
	commit  time.Duration // of this disk
	busy    busy          // the machine, when the measure began
	lines   []result
}

// build makes every program from the tree. agiload and aginull are modules of
// their own.
func (b *bench) build(ctx context.Context) error {
	for _, program := range []struct{ name, from, pkg string }{
		{"ringhook", ".", "."},
		{"zafserver", ".", "./test/bench/zafserver"},
		{"agiload", "test/bench/agiload", "."},
		{"aginull", "test/bench/aginull", "."},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(b.folder, program.name), program.pkg)
		cmd.Dir = program.from
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", program.name, err, out)
		}
	}
	return nil
}

// server is a process that is measured, or that a measured one needs.
type server struct {
	name   string
	addr   string        // for requests
	web    string        // address of ringhook's metrics
	took   time.Duration // until it was ready
	cmd    *exec.Cmd
	said   string // file with its output
	ended  chan struct{}
	result error // of the process; valid once it has ended
}

// starts is the maximum time until a server listens.
const starts = time.Minute

// start starts a program, and returns when it has said where it listens, which
// is what ready finds.
func (b *bench) start(ctx context.Context, name string, ready *regexp.Regexp, cmd *exec.Cmd) (*server, error) {
	s := &server{name: name, cmd: cmd, said: filepath.Join(b.folder, fmt.Sprintf("%d.log", len(b.servers))), ended: make(chan struct{})}
	said, err := os.Create(s.said)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.servers = append(b.servers, s)
	go func() {
		s.result = cmd.Wait()
		close(s.ended)
	}()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		text, err := os.ReadFile(s.said)
		if err != nil {
			return nil, err
		}
		if at := ready.FindSubmatch(text); at != nil {
			s.took = time.Since(began)
			s.addr, s.web = string(at[1]), string(at[len(at)-1])
			return s, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-s.ended:
			return nil, fmt.Errorf("%s ended before it listened: %w\n%s", name, s.result, text)
		}
		if time.Since(began) > starts {
			return nil, fmt.Errorf("%s does not listen after %v\n%s", name, starts, text)
		}
	}
}

var (
	ringhookReady = regexp.MustCompile(`msg=serving\b.* fastagi=(\S+) http=(\S+).*\n`)
	otherReady    = regexp.MustCompile(` on (\S+)\n`)
)

// ringhook starts one with a configuration of these lines, beside the addresses and
// a store of its own in a folder, which may hold one already.
func (b *bench) ringhook(ctx context.Context, name, folder, lines string) (*server, error) {
	path := filepath.Join(b.folder, fmt.Sprintf("%d.toml", len(b.servers)))
	text := fmt.Sprintf("fastagi.listen = \"127.0.0.1:0\"\nhttp.listen = \"127.0.0.1:0\"\nnumber.country = \"DE\"\nstore.folder = %q\n%s", folder, lines)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return b.start(ctx, name, ringhookReady, exec.Command(filepath.Join(b.folder, "ringhook"), "serve", "-c", path))
}

// null starts the server that does nothing but the protocol.
func (b *bench) null(ctx context.Context, args ...string) (*server, error) {
	return b.start(ctx, "null", otherReady, exec.Command(filepath.Join(b.folder, "aginull"), append([]string{"-addr", "127.0.0.1:0"}, args...)...))
}

// peer starts the CRM and receiver of events.
func (b *bench) peer(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, "peer", otherReady, exec.Command(self, "peer"))
}

// stop ends a server as systemd does, and says how it ended where that is no good end.
func (s *server) stop() error {
	select {
	case <-s.ended:
		text, _ := os.ReadFile(s.said) // to say more of what went wrong
		return fmt.Errorf("%s ended on its own: %w\n%s", s.name, s.result, text[max(0, len(text)-2000):])
	default:
	}
	force := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() }) // its end shows that
	defer force.Stop()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
	<-s.ended
	var exit *exec.ExitError
	if errors.As(s.result, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil // has no handler
	}
	if s.result != nil {
		return fmt.Errorf("stop %s: %w", s.name, s.result)
	}
	return nil
}

// end stops a server before the others.
func (b *bench) end(s *server) error {
	i := slices.Index(b.servers, s)
	if i < 0 {
		return nil
	}
	b.servers[i] = nil // its place keeps the names of files apart
	return s.stop()
}

func (b *bench) stopAll() error {
	var err error
	for i := len(b.servers) - 1; i >= 0; i-- {
		if b.servers[i] != nil {
			err = errors.Join(err, b.end(b.servers[i]))
		}
	}
	return err
}

// memory is what the process has in memory, and the most it ever had, in MiB.
func (s *server) memory() (now, most float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of %s: %w", s.name, err)
	}
	for name, kib := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
		_, rest, _ := bytes.Cut(text, []byte(name))
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0, 0, fmt.Errorf("read memory of %s: there is no %s", s.name, name)
		}
		n, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read memory of %s: %w", s.name, err)
		}
		*kib = n / 1024
	}
	return now, most, nil
}

// metric reads one of ringhook's metrics, named with its labels.
func (s *server) metric(name string) (float64, error) {
	status, page, err := fasthttp.Get(nil, "http://"+s.web+"/metrics")
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("read metrics of %s: status %d: %w", s.name, status, err)
	}
	at := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(page)
	if at == nil {
		return 0, fmt.Errorf("%s has no metric %s", s.name, name)
	}
	return strconv.ParseFloat(string(at[1]), 64)
}

// delivered waits until nothing is pending for a hook, so that who is measured
// next has the machine for itself.
func (s *server) delivered(ctx context.Context, hook string) error {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		pending, err := s.metric(fmt.Sprintf("ringhook_hook_pending{hook=%q}", hook))
		if err != nil || pending == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ended:
			return s.stop()
		case <-tick.C:
		}
	}
}

// commitTime is the median of what the disk takes to keep 4 KiB.
func commitTime(folder string) (took time.Duration, err error) {
	f, err := os.Create(filepath.Join(folder, "commit"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, 4096)
	times := make([]time.Duration, 201)
	for i := range times {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
