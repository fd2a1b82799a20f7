package hooks

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// signer returns one signature of Standard Webhooks, with its version in front.
type signer func(content []byte) string

// parseSecret reads a secret: whsec_ and 24 to 64 bytes in base64 for a shared
// key, whsk_ and the 64 bytes of seed and public key for ed25519. Its errors
// do not show it.
func parseSecret(text string) (signer, error) {
	if rest, ok := strings.CutPrefix(text, "whsk_"); ok {
		key, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || len(key) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]), key) {
			return nil, errors.New("secret is no ed25519 key: whsk_ and the base64 of seed and public key, 64 bytes together")
		}
		return func(content []byte) string {
			return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, content))
		}, nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("secret is not whsec_ and the base64 of 24 to 64 random bytes, such as: echo whsec_$(openssl rand -base64 32)")
	}
	return func(content []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write(content)
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}, nil
}

// compileSigners makes the signers of the hook's requests.
func (b *builder) compileSigners() {
	c := b.hook.cfg
	secrets := []struct{ key, text string }{{"secret", c.Secret}, {"old_secret", c.OldSecret}}
	if c.Secret == "" && c.OldSecret != "" {
		b.report("old_secret", "there is no secret beside which it could sign: it is the secret")
	}
	for _, secret := range secrets {
		if secret.text == "" {
			continue
		}
		s, err := parseSecret(secret.text)
		if err != nil {
			b.report(secret.key, err.Error())
		}
		b.hook.signers = append(b.hook.signers, s)
	}
}

// sign returns the header webhook-signature for the bytes that are sent. A full
// stop in the id would make the borders between id, time and body ambiguous.
func sign(signers []signer, id, timestamp string, body []byte) (string, error) {
	if strings.Contains(id, ".") {
		return "", fmt.Errorf("sign event %s: its id has a full stop", id)
	}
	content := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	content = append(append(content, id...), '.')
	content = append(append(content, timestamp...), '.')
	content = append(content, body...)
	signatures := make([]string, len(signers))
	for i, s := range signers {
		signatures[i] = s(content)
	}
	return strings.Join(signatures, " "), nil
}
