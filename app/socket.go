package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// socketFile, in the store's folder, is where Reload asks the running server. Only the
	// user of the service may enter the folder.
	socketFile = "reload.sock"
	// apiSocketFile, beside it, is where commands of the command line reach the API, without a token.
	apiSocketFile = "api.sock"
	// reloadRequest is the line that asks for a reload.
	reloadRequest = "reload\n"
	// maxSocketPath is the maximum length of a path in a socket's address, in bytes.
	maxSocketPath = 103
	// socketTime bounds the wait for a line of the other side.
	socketTime = 5 * time.Second
)

// socketPath returns a path of a socket in a folder. Through the open folder it is short enough for a socket's address,
// however long the folder's own path is. It is valid until release is called.
func socketPath(folder, name string) (path string, release func(), err error) {
	path = filepath.Join(folder, name)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name), sync.OnceFunc(func() { d.Close() }), nil
}

// socket is a listener in a folder that stays open.
type socket struct {
	net.Listener
	release func()
}

// Close closes the socket and removes it from its folder.
func (s *socket) Close() error {
	defer s.release()
	return s.Listener.Close()
}

// listenSocket opens a socket in a folder. One that an earlier process left is replaced: the store's
// lock excludes that a second server uses it.
func listenSocket(folder, name string) (net.Listener, error) {
	path, release, err := socketPath(folder, name)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		release()
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		release()
		return nil, err
	}
	s := &socket{l, release}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dialSocket connects to a socket in a folder. The error is ErrNotServing if no server has it.
func dialSocket(ctx context.Context, folder, name string) (net.Conn, error) {
	path, release, err := socketPath(folder, name)
	var c net.Conn
	if err == nil {
		defer release()
		c, err = new(net.Dialer).DialContext(ctx, "unix", path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		err = ErrNotServing
	}
	return c, err
}

// serveReload answers one connection after the other until ctx ends. Requests are passed
// on and answered by reloadOn.
func (a *App) serveReload(ctx context.Context, requests chan<- chan<- *Reloaded) {
	l, err := listenSocket(a.store.Folder(), socketFile)
	if err != nil {
		a.log.Warn("ringhook reload will not work", "err", err, "hint", "SIGHUP reloads too")
		return
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // too many open files, most likely
			}
			continue
		}
		if err := answerReload(ctx, c, requests); err != nil {
			a.log.Warn("request for a reload not answered", "err", err)
		}
		c.Close()
	}
}

func answerReload(ctx context.Context, c net.Conn, requests chan<- chan<- *Reloaded) error {
	c.SetDeadline(time.Now().Add(socketTime))
	line := make([]byte, len(reloadRequest))
	if n, err := c.Read(line); err != nil || string(line[:n]) != reloadRequest {
		return errors.Join(fmt.Errorf("unknown request %q", line[:n]), err)
	}
	result := make(chan *Reloaded, 1)
	select {
	case requests <- result:
	case <-ctx.Done():
		return ctx.Err()
	}
	var done *Reloaded
	select {
	case done = <-result:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.SetDeadline(time.Now().Add(socketTime))
	return json.NewEncoder(c).Encode(done)
}

// serveLocal serves the API on its socket until the server is shut down.
func (a *App) serveLocal() {
	l, err := listenSocket(a.store.Folder(), apiSocketFile)
	if err == nil {
		err = a.web.ServeLocal(l)
	}
	if err != nil {
		a.log.Warn("commands such as ringhook agent will not work", "err", err, "hint", "programs can use the HTTP API")
	}
}

// Client returns a client that reaches the API of the server that uses a store's folder, as http://ringhook.
func Client(folder string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialSocket(ctx, folder, apiSocketFile)
		},
	}}
}

// ErrNotServing is the error of Reload if no server uses the store.
var ErrNotServing = errors.New("no ringhook serves with this store")

// Reload asks the server that uses a store's folder to reload its configuration, and
// waits until ctx ends for the result.
func Reload(ctx context.Context, folder string) (*Reloaded, error) {
	c, err := dialSocket(ctx, folder, socketFile)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
	if _, err := c.Write([]byte(reloadRequest)); err != nil {
		return nil, err
	}
	text, err := bufio.NewReader(c).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the server did not answer: %w", errors.Join(ctx.Err(), err))
	}
	done := &Reloaded{}
	return done, json.Unmarshal(text, done)
}
