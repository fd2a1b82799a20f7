package httpclient

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// conn is a connection to a server. One request at a time uses it.
type conn struct {
	net.Conn // TLS if the server speaks it
	raw      syscall.RawConn
	peek     func(fd uintptr)
	pending  bool // what peek found: something to read, or the end of the connection
	reader   *bufio.Reader
	read     int64       // bytes of the present response
	limit    int64       // of them
	err      error       // of the last read, nil if it went well
	expiry   *time.Timer // closes the connection after it was idle for too long
}

// readers are shared by all connections: an idle connection holds none.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, headers) }}

func newConn(c net.Conn) *conn {
	n := &conn{Conn: c}
	plain := c
	if secure, ok := c.(*tls.Conn); ok {
		plain = secure.NetConn()
	}
	if sc, ok := plain.(syscall.Conn); ok {
		n.raw, _ = sc.SyscallConn()
	}
	var one [1]byte
	n.peek = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		n.pending = err != syscall.EAGAIN && err != syscall.EWOULDBLOCK
	}
	return n
}

// wire is the maximum number of bytes of a response for each byte of its body, with those between chunks: extensions of chunks
// have no limit in fasthttp.
const wire = 8

var errWire = errors.New("more bytes than any body of the permitted size needs")

// Read reads from the connection and notes what came.
func (c *conn) Read(p []byte) (int, error) {
	if c.read > c.limit {
		c.err = errWire
		return 0, errWire
	}
	n, err := c.Conn.Read(p)
	c.read += int64(n)
	c.err = err
	return n, err
}

// quiet reports whether nothing has come since the last response, neither a byte nor the end of the connection. What a
// server sends unasked would be taken for the answer to the next request.
func (c *conn) quiet() bool {
	if c.raw == nil || c.raw.Control(c.peek) != nil || c.pending {
		return false
	}
	secure, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	// TLS may hold a record of which only a part was read. With a deadline that has passed, Read returns the rest and does
	// not touch the network.
	if secure.SetReadDeadline(aLongTimeAgo) != nil {
		return false
	}
	var one [1]byte
	n, err := secure.Read(one[:])
	return n == 0 && isTimeout(err)
}

var aLongTimeAgo = time.Unix(1, 0)

// exchange writes a request and the file that follows it, reads the response, and reports whether the connection may be
// used again.
func (c *conn) exchange(request []byte, file *File, in *fasthttp.Response, maxBody int, deadline time.Time) (reusable bool, err error) {
	c.read, c.limit, c.err = 0, headers+wire*int64(maxBody), nil
	if limit := time.Now().Add(exchange); deadline.After(limit) {
		deadline = limit
	}
	if err := c.SetDeadline(deadline); err != nil {
		return false, err
	}
	if _, err := c.Write(request); err != nil {
		return false, c.failure(err)
	}
	unwritten, err := c.send(file)
	if err != nil {
		return false, err
	}
	c.reader = readers.Get().(*bufio.Reader)
	c.reader.Reset(c)
	defer func() {
		c.reader.Reset(nil)
		readers.Put(c.reader)
		c.reader = nil
	}()
	closes := announcesClose(c.head())
	switch err := in.ReadLimitBody(c.reader, maxBody); {
	case unwritten != nil && (err != nil || in.StatusCode() < 300):
		return false, c.failure(unwritten)
	case err != nil:
		return false, c.failure(err)
	}
	return unwritten == nil && c.err == nil && c.reader.Buffered() == 0 && !closes && mayFollow(in), nil
}

// send writes a file. unwritten is why the server did not take all of it: its response may say more. err is why the file
// cannot be read; the request is incomplete then.
func (c *conn) send(file *File) (unwritten, err error) {
	r := file.reader()
	if r == nil {
		return nil, nil
	}
	buffer := make([]byte, 64<<10)
	left := file.length()
	for left > 0 {
		n, err := r.Read(buffer)
		if n == 0 && err != nil {
			return nil, &failure{class: ClassRequest, text: "the file became shorter or cannot be read", err: err}
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return err, nil
		}
		left -= int64(n)
	}
	return nil, nil
}

// head returns the head of the response without reading past it, or what there is of it if it does not end.
func (c *conn) head() []byte {
	for {
		_, err := c.reader.Peek(c.reader.Buffered() + 1)
		head, _ := c.reader.Peek(c.reader.Buffered())
		for _, end := range []string{"\r\n\r\n", "\n\n"} {
			if i := bytes.Index(head, []byte(end)); i >= 0 {
				return head[:i]
			}
		}
		if err != nil {
			return head
		}
	}
}

// mayFollow reports whether another response may follow this one on its connection. A response that must not have a body
// and announces one is followed by bytes that belong to no response.
func mayFollow(in *fasthttp.Response) bool {
	switch status := in.StatusCode(); {
	case in.ConnectionClose(), status < 200:
		return false
	case status == fasthttp.StatusNoContent, status == fasthttp.StatusNotModified:
		return in.Header.ContentLength() == 0 || in.Header.ContentLength() == -2
	}
	return true
}

// announcesClose reports whether the head of a response says that the server closes the connection. Of several lines, and
// of several options in one, fasthttp sees only the last line, and only if it is nothing but close.
func announcesClose(head []byte) bool {
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		name, options, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte(fasthttp.HeaderConnection)) {
			continue
		}
		for option := range bytes.SplitSeq(options, []byte(",")) {
			if bytes.EqualFold(bytes.TrimSpace(option), []byte("close")) {
				return true
			}
		}
	}
	return false
}

// failure returns what an error of an exchange means. Errors of fasthttp quote the response, and no error of this
// package may do that.
func (c *conn) failure(err error) error {
	var small *fasthttp.ErrSmallBuffer
	switch ended := isEnd(c.err) || isEnd(err); {
	case isTimeout(c.err), isTimeout(err):
		return &failure{class: ClassTimeout, text: "deadline passed", err: err}
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.Is(c.err, errWire):
		return &failure{class: ClassTooLarge, text: "body is too large", err: err}
	case errors.As(err, &small):
		return &failure{class: ClassTooLarge, text: "head is too large", err: err}
	case ended && c.read == 0:
		return &failure{class: ClassReset, text: "the server closed the connection before the first byte of a response", err: err}
	case ended:
		return &failure{class: ClassProtocol, text: "the response was cut short", err: err}
	}
	return &failure{class: ClassProtocol, text: "the response is not valid HTTP", err: err}
}

// isEnd reports whether the server ended the connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
