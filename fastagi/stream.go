package fastagi

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

const (
	bufferSize = 4096
	// maxReply bounds one reply, and what is read from the channel at once.
	maxReply = 16 << 10
)

var errTooLong = errors.New("too long")

// buffers holds the memory of sessions that are not waiting for a lookup.
var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// keepBuffer returns a buffer back, unless one session has made it so large
// that every later one would carry its weight.
func keepBuffer(b *[]byte) {
	if cap(*b) <= 2*bufferSize {
		*b = (*b)[:cap(*b)]
		buffers.Put(b)
	}
}

// stream holds the bytes that came from Asterisk and were not yet taken. One
// stream serves the environment and the replies, so that bytes which came
// early are not lost.
type stream struct {
	src  io.Reader
	buf  *[]byte // nil while nothing is held
	r, w int
}

// bytes shows what is held, until the next call of more.
func (in *stream) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return (*in.buf)[in.r:in.w]
}

// take drops the first n bytes held.
func (in *stream) take(n int) {
	in.r += n
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
}

// more reads once and adds what came, up to limit bytes held; then errTooLong.
func (in *stream) more(limit int) error {
	if in.w-in.r >= limit {
		return errTooLong
	}
	if in.buf == nil {
		in.buf = buffers.Get().(*[]byte)
	}
	if in.w == len(*in.buf) {
		from := in.bytes()
		if in.r == 0 {
			grown := make([]byte, min(2*len(*in.buf), max(limit, bufferSize)))
			in.buf = &grown
		}
		in.r, in.w = 0, copy(*in.buf, from)
	}
	n, err := in.src.Read((*in.buf)[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// line takes the next line and returns it without its newline, valid until the
// next call of more.
func (in *stream) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(in.bytes(), '\n'); i >= 0 {
			text := in.bytes()[:i]
			in.take(i + 1)
			return text, nil
		}
		if err := in.more(maxReply); err != nil {
			return nil, err
		}
	}
}

// hold puts a few bytes in front, which must not be more than were taken.
func (in *stream) hold(text []byte) {
	if len(text) == 0 {
		return
	}
	if in.buf == nil {
		in.buf = buffers.Get().(*[]byte)
	}
	in.r, in.w = 0, copy(*in.buf, text)
}

// drain reads to the end and keeps nothing.
func (in *stream) drain() {
	for {
		in.r, in.w = 0, 0
		if err := in.more(bufferSize); err != nil {
			return
		}
	}
}

// release returns the buffer back, with whatever is in it.
func (in *stream) release() {
	if in.buf != nil {
		keepBuffer(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}
