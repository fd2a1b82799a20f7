package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// socketFile, in the store's folder, is where Reload asks the running server. Only the
	// user of the service may enter the folder.
	socketFile = "reload.sock"
	// reloadRequest is the line that asks for a reload.
	reloadRequest = "reload\n"
	// socketTime bounds the wait for a line of the other side.
	socketTime = 5 * time.Second
)

// listenReload opens the socket. One that an earlier process left is replaced: the store's
// lock excludes that a second server uses it.
func listenReload(folder string) (net.Listener, error) {
	path := filepath.Join(folder, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// serveReload answers one connection after the other until ctx ends. Requests are passed
// on and answered by reloadOn.
func (a *App) serveReload(ctx context.Context, requests chan<- chan<- *Reloaded) {
	l, err := listenReload(a.store.Folder())
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

// ErrNotServing is the error of Reload if no server uses the store.
var ErrNotServing = errors.New("no ringhook serves with this store")

// Reload asks the server that uses a store's folder to reload its configuration, and
// waits until ctx ends for the result.
func Reload(ctx context.Context, folder string) (*Reloaded, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join(folder, socketFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotServing
	}
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
