package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far a file is read, on a terminal.
type progress struct {
	*os.File
	w          io.Writer // nil where nobody watches
	size, done int64
	shown      time.Time
	drawn      bool
}

// showEvery is how often progress is shown, so that short files show none.
const showEvery = 200 * time.Millisecond

func newProgress(w io.Writer, f *os.File) *progress {
	p := &progress{File: f, shown: time.Now()}
	info, err := f.Stat()
	if screen, ok := w.(*os.File); ok && err == nil && info.Size() > 0 {
		if mode, err := screen.Stat(); err == nil && mode.Mode()&os.ModeCharDevice != 0 {
			p.w, p.size = w, info.Size()
		}
	}
	return p
}

// Read reads the file, and counts.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.File.Read(b)
	p.done += int64(n)
	return n, err
}

func (p *progress) show(entries int) {
	if p.w == nil || time.Since(p.shown) < showEvery {
		return
	}
	const width = 40
	full := int(min(width, width*p.done/p.size))
	fmt.Fprintf(p.w, "\r[%s%s] %3d %%, %d numbers ", strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*p.done/p.size, entries)
	p.shown, p.drawn = time.Now(), true
}

// clear makes the line free for something else.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
