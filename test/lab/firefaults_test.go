//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// place is one of the company's systems, which may be closed for a while.
type place struct {
	address string
	handler http.Handler
	server  *http.Server
}

func (p *place) open(t *testing.T) {
	t.Helper()
	listen, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Errorf("open %s again: %v", p.address, err)
		return
	}
	p.server = &http.Server{Handler: p.handler}
	go p.server.Serve(listen)
}

func (p *place) close() {
	if p.server != nil {
		p.server.Close()
		p.server = nil
	}
}

// mood is how a system behaves at present.
type mood int32

const (
	well mood = iota
	failing
	hanging // and then as if nothing had been
	babbling
	away // not even listening
)

// moody is a handler with moods.
type moody struct {
	mood  atomic.Int32
	inner http.Handler
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch mood(m.mood.Load()) {
	case failing:
		http.Error(w, "not today", http.StatusInternalServerError)
	case hanging:
		select {
		case <-r.Context().Done():
		case <-time.After(3 * time.Second):
		}
		m.inner.ServeHTTP(w, r)
	case babbling:
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<html>\x00\xff<body>CALLERID(name)=Eve&QUEUE_PRIO=99"))
	default:
		m.inner.ServeHTTP(w, r)
	}
}

// keeper starts ringhook again whenever it ends, as systemd does.
type keeper struct {
	server *server
	mu     sync.Mutex
	now    *exec.Cmd      // nil where none runs
	ends   map[string]int // of those that were not killed, by the last that they said
	starts int
}

func (k *keeper) run(ctx context.Context, t *testing.T, chance *rand.Rand) {
	for ctx.Err() == nil {
		logged := len(k.server.log(0))
		c, err := k.server.launch("info")
		if err != nil {
			t.Error(err)
			return
		}
		k.mu.Lock()
		k.now = c
		k.starts++
		k.mu.Unlock()
		stop := context.AfterFunc(ctx, func() { c.Process.Signal(syscall.SIGTERM) })
		err = c.Wait()
		stop()
		k.mu.Lock()
		k.now = nil
		if err != nil && err.Error() != "signal: killed" {
			k.ends[err.Error()+", "+why(k.server.log(logged))]++
		}
		k.mu.Unlock()
		pause(ctx, chance, 100*time.Millisecond, 1500*time.Millisecond)
	}
}

// wrongConfiguration is what a start comes to while the file is wrong.
const wrongConfiguration = "the configuration is wrong"

// why is what a ringhook that ended by itself said at last.
func why(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "ringhook: ") && strings.Contains(line, "ringhook.toml") {
			return wrongConfiguration
		}
	}
	return lines[len(lines)-1]
}

// signal sends one to the process, and reports whether there is any.
func (k *keeper) signal(s os.Signal) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now != nil && k.now.Process.Signal(s) == nil
}

// pause waits a while, and reports whether it still burns.
func pause(ctx context.Context, chance *rand.Rand, least, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(least + time.Duration(chance.Int64N(int64(most-least)))):
		return true
	}
}

// blaze is everything that goes wrong, and how often it did.
type blaze struct {
	t      *testing.T
	seed   uint64
	keeper *keeper
	folder string // of the store
	tasks  sync.WaitGroup

	kills, fulls, reloads, refused atomic.Int64
}

// light begins a fault, which ends with ctx; its chances are its own and can be had again.
func (b *blaze) light(ctx context.Context, number uint64, name string, fault func(ctx context.Context, chance *rand.Rand)) {
	b.t.Logf("%s: seed %d, %d", name, b.seed, number)
	b.tasks.Go(func() { fault(ctx, rand.New(rand.NewPCG(b.seed, number))) })
}

// change has a system go through its moods, those between them being good.
func (b *blaze) change(p *place, m *moody, from ...mood) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, chance *rand.Rand) {
		for pause(ctx, chance, time.Second, 6*time.Second) {
			next := from[chance.IntN(len(from))]
			if next == away {
				p.close()
			} else {
				m.mood.Store(int32(next))
			}
			pause(ctx, chance, time.Second, 4*time.Second)
			if next == away {
				p.open(b.t)
			}
			m.mood.Store(int32(well))
		}
	}
}

func (b *blaze) kill(ctx context.Context, chance *rand.Rand) {
	for pause(ctx, chance, 3*time.Second, 12*time.Second) {
		if b.keeper.signal(syscall.SIGKILL) {
			b.kills.Add(1)
		}
	}
}

// fill leaves no room in the store's file system for some seconds.
func (b *blaze) fill(ctx context.Context, chance *rand.Rand) {
	ballast := filepath.Join(b.folder, "ballast")
	for pause(ctx, chance, 8*time.Second, 20*time.Second) {
		f, err := os.Create(ballast)
		if err != nil {
			b.t.Errorf("fill the disk: %v", err)
			return
		}
		full, end := context.WithTimeout(ctx, 2*time.Second+time.Duration(chance.Int64N(int64(3*time.Second))))
		// What ringhook releases is taken too.
		for size := int64(0); ; {
			for step := int64(64 << 20); step >= 4096; {
				if err := syscall.Fallocate(int(f.Fd()), 0, size, step); err == nil {
					size += step
				} else if errors.Is(err, syscall.ENOSPC) {
					step /= 2
				} else if !errors.Is(err, syscall.EINTR) {
					b.t.Errorf("fill the disk: %v", err)
					break
				}
			}
			if !pause(full, chance, 10*time.Millisecond, 30*time.Millisecond) {
				break
			}
		}
		end()
		if err := errors.Join(f.Close(), os.Remove(ballast)); err != nil {
			b.t.Errorf("free the disk: %v", err)
		}
		b.fulls.Add(1)
	}
}

// reload has the configuration read again each second: now one, now another,
// now one that is wrong.
func (b *blaze) reload(ctx context.Context, chance *rand.Rand) {
	defer b.write(fireConfig(b.folder, 0))
	for n := 0; pause(ctx, chance, 900*time.Millisecond, 1100*time.Millisecond); n++ {
		text := fireConfig(b.folder, n)
		if n%3 == 2 {
			text = []string{"[[hook", text + "[nonsense]\nkey = 1\n", text + "[[lookup]]\nname = \"crm\"\n", "\x00\xff"}[chance.IntN(4)]
			b.refused.Add(1)
		} else {
			b.reloads.Add(1)
		}
		b.write(text)
		b.keeper.signal(syscall.SIGHUP)
	}
}

// write puts a whole configuration in the place of the last one.
func (b *blaze) write(text string) {
	name := filepath.Join(b.keeper.server.folder, "ringhook.toml")
	if err := errors.Join(os.WriteFile(name+".new", []byte(text), 0o644), os.Rename(name+".new", name)); err != nil {
		b.t.Errorf("write the configuration: %v", err)
	}
}

// fireConfig is the n-th of the configurations. Both hooks that count are in all of them.
func fireConfig(folder string, n int) string {
	text := fmt.Sprintf(`
[number]
country = "RU"

[store]
folder = %q

[[lookup]]
name = "crm"
points = ["queue-dial", "agent-dial"]
url = "http://127.0.0.1:8080/who?phone=%%callerid%%"
timeout = "%dms"
cache = "%dm"
`, folder, 700+n%5*50, 1+n%3)
	for name, address := range receiverAddresses {
		text += fmt.Sprintf(`
[[hook]]
name = %q
events = ["*"]
url = "http://%s/"
schedule = "fast"
timeout = "1s"
concurrency = %d
`, name, address, 8+n%4*8)
	}
	if n%2 == 1 {
		text += `
[[hook]]
name = "now-and-then"
events = ["agent-*"]
url = "http://127.0.0.1:8080/cti"
give_up = "5s"
`
	}
	return text
}

// The receivers of all events: one is away now and then, the other
// also has moods.
var receiverAddresses = map[string]string{"steady": "127.0.0.1:8081", "moody": "127.0.0.1:8082"}
