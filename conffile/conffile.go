// Package conffile reads the files that the configuration names: regular files of a limited size. A pipe would block the
// reader, and a device such as /dev/zero has no end.
package conffile

import (
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// MaxPEM is the maximum size of a file of certificates or of a key, in bytes. The certificates of all public authorities have
// a quarter of a million.
const MaxPEM = 4 << 20

// Open opens a regular file for reading, also through a symbolic link.
func Open(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without it the open of a pipe waits for a writer
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: name a file with the text", name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Check returns an error unless a file is a regular one of at most limit bytes, for a library that reads it by itself.
func Check(name string, limit int64) error {
	f, info, err := Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() > limit {
		return errTooLarge(name, limit)
	}
	return nil
}

func errTooLarge(name string, limit int64) error {
	return fmt.Errorf("%s is larger than %d bytes, the maximum", name, limit)
}

// Read returns the content of a regular file. A file of more than limit bytes is an error.
func Read(name string, limit int64) ([]byte, error) {
	f, _, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLarge(name, limit)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// KeyPair returns the certificate and the key of two PEM files.
func KeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := Read(certFile, MaxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := Read(keyFile, MaxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
