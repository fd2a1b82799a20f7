package loglimit

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTest(t *testing.T) (*Limiter, *strings.Builder) {
	t.Helper()
	var out strings.Builder
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return New(slog.New(handler), time.Minute), &out
}

func TestFirstThenSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(t)
		for i := range 40000 {
			l.Warn("refused", "variable refused", "n", i)
		}
		l.Error("disk", "cannot commit")
		time.Sleep(3 * time.Minute)
		l.Warn("refused", "variable refused", "n", -1)
		l.Close()
		want := "level=WARN msg=\"variable refused\" n=0\n" +
			"level=ERROR msg=\"cannot commit\"\n" +
			"level=WARN msg=\"variable refused\" n=39999 repeated=39999 within=1m0s\n" +
			"level=WARN msg=\"variable refused\" n=-1\n"
		if out.String() != want {
			t.Errorf("log is\n%swant\n%s", out, want)
		}
	})
}

// While lines keep coming, there is one summary per interval.
func TestOneLinePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTest(t)
		for range 300 {
			l.Warn("k", "m")
			time.Sleep(time.Second)
		}
		l.Close()
		if n := strings.Count(out.String(), "\n"); n != 6 {
			t.Errorf("%d lines in 5 minutes, want 6:\n%s", n, out)
		}
	})
}

func TestClose(t *testing.T) {
	l, out := newTest(t)
	l.Warn("k", "m")
	l.Warn("k", "m")
	l.Close()
	l.Close()
	l.Warn("k", "after")
	if want := "level=WARN msg=m\nlevel=WARN msg=m repeated=1 within=1m0s\nlevel=WARN msg=after\n"; out.String() != want {
		t.Errorf("log is\n%swant\n%s", out, want)
	}
}

func TestManyKeys(t *testing.T) {
	l, out := newTest(t)
	for i := range 10 * maxKeys {
		l.Warn(fmt.Sprint("key ", i), "m")
	}
	l.Close()
	if n := strings.Count(out.String(), "\n"); n != maxKeys+2 {
		t.Errorf("%d lines, want %d", n, maxKeys+2)
	}
}
