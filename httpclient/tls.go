package httpclient

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"ringhook/conffile"
)

// loadTLS reads the CA certificates, client certificate and key from PEM files,
// any of which may be empty. It returns nil if all are.
func loadTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	if caFile == "" && certFile == "" && keyFile == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := conffile.Read(caFile, conffile.MaxPEM)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", caFile)
		}
	}
	if certFile == "" && keyFile == "" {
		return config, nil
	}
	if certFile == "" || keyFile == "" {
		return nil, errors.New("a client certificate needs both its file and that of its key")
	}
	pair, err := conffile.KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// DigestFiles returns a digest of the contents of files, by which a reload notices that a certificate was replaced. An empty
// path, or a file that cannot be read, is an empty file.
func DigestFiles(paths ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range paths {
		var text []byte
		if path != "" {
			text, _ = conffile.Read(path, conffile.MaxPEM) // who uses the file reports that it cannot be read
		}
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	h.Sum(sum[:0])
	return sum
}
