package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine describes where and how a run was made.
type machine struct {
	Command string  `json:"command"`
	Date    string  `json:"date"`
	Version string  `json:"version"`
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	Memory  float64 `json:"memory_gib"`
	Kernel  string  `json:"kernel"`
	Go      string  `json:"go"`
	Commit  float64 `json:"commit_us"` // of 4 KiB to the disk
	Steal   float64 `json:"steal"`     // share of processor time that the host used
	Load    float64 `json:"load"`      // load average of a minute at the start
}

// about returns the head of the report.
func (b *bench) about() machine {
	version := "unknown"
	if out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = string(bytes.TrimSpace(out))
	}
	after := readBusy()
	m := machine{
		Command: strings.Join(append([]string{"test/bench/run"}, b.args...), " "), Date: time.Now().Format(time.DateOnly), Version: version,
		CPU: "unknown", Cores: runtime.NumCPU(), Go: strings.TrimPrefix(runtime.Version(), "go"), Commit: float64(b.commit.Nanoseconds()) / 1000,
		Steal: ratioOf(after.steal-b.busy.steal, after.all-b.busy.all), Load: b.busy.load,
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := bytes.Cut(text, []byte("model name\t: ")); ok {
			name, _, _ := bytes.Cut(rest, []byte("\n"))
			m.CPU = string(name)
		}
	}
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		var release []byte
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			release = append(release, byte(c))
		}
		m.Kernel = string(release)
	}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		m.Memory = float64(info.Totalram) * float64(info.Unit) / (1 << 30)
	}
	return m
}

// String is the paragraph above a table.
func (m machine) String() string {
	return fmt.Sprintf("`%s`, %s, ringhook %s. %d cores (%s) that load, receivers and all servers share, %.0f GiB, Linux %s, Go %s. "+
		"One commit of 4 KiB took %.0f us. The load of the machine was %.1f before, and its host took %.1f %% of the processors.",
		m.Command, m.Date, m.Version, m.Cores, m.CPU, m.Memory, m.Kernel, m.Go, m.Commit, m.Load, 100*m.Steal)
}

// busy is the use of the processors since the machine was started, in ticks.
type busy struct{ all, steal, load float64 }

func readBusy() (b busy) {
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		for i, field := range strings.Fields(line) {
			n, _ := strconv.ParseFloat(field, 64) // "cpu" is not a number
			if i <= 8 {                           // user includes guests
				b.all += n
			}
			if i == 8 {
				b.steal = n
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		b.load, _ = strconv.ParseFloat(first, 64) // 0 if it cannot be read
	}
	return b
}

func ratioOf(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
