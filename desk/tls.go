package desk

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"ringhook/conffile"
)

// certificate is a certificate in files, which are read again when they change.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // modification time of the file that was read
	checked time.Time
}

// checkEvery is the interval at which the files are looked at.
const checkEvery = 10 * time.Second

func readCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	return c, c.read()
}

// read loads the files. The caller owns c or holds mu.
func (c *certificate) read() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return err
	}
	pair, err := conffile.KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.loaded, c.changed, c.checked = &pair, info.ModTime(), time.Now()
	return nil
}

// get returns the certificate of now. If new files cannot be used, the old certificate stays in force.
func (c *certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) > checkEvery {
		c.checked = now
		if info, err := os.Stat(c.certFile); err == nil && !info.ModTime().Equal(c.changed) {
			_ = c.read() // half-written files are read again at the next look
		}
	}
	return c.loaded, nil
}
