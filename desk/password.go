package desk

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a password by argon2id: 19 MiB and two passes, as OWASP recommends.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// The length of a password, in characters and bytes.
const (
	minPassword = 10
	maxPassword = 256
)

// hashers limits the passwords that are hashed at the same time, so that a whole shift that signs in at once does not
// take the processor from calls.
type hashers chan struct{}

func newHashers() hashers { return make(hashers, 2) }

// acquire waits for a place, until ctx ends.
func (h hashers) acquire(ctx context.Context) error {
	select {
	case h <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hash returns what is stored of a password.
func (h hashers) hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer func() { <-h }()
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	return encodeHash(salt, keyOf(password, salt)), nil
}

// matches reports whether a password is the one of which hash is stored.
func (h hashers) matches(ctx context.Context, password, hash string) (bool, error) {
	salt, key, err := decodeHash(hash)
	if err != nil {
		return false, err
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer func() { <-h }()
	return subtle.ConstantTimeCompare(keyOf(password, salt), key) == 1, nil
}

func keyOf(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
}

var hashPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)

func encodeHash(salt, key []byte) string {
	return hashPrefix + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key)
}

func decodeHash(hash string) (salt, key []byte, err error) {
	rest, ok := strings.CutPrefix(hash, hashPrefix)
	first, second, cut := strings.Cut(rest, "$")
	if !ok || !cut {
		return nil, nil, fmt.Errorf("stored password is not of this version's form")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(first); err == nil {
		key, err = base64.RawStdEncoding.DecodeString(second)
	}
	if err != nil || len(key) != argonKey {
		return nil, nil, fmt.Errorf("stored password is damaged")
	}
	return salt, key, nil
}

// acceptable reports whether a text may be a new password.
func acceptable(password string) bool {
	return utf8.RuneCountInString(password) >= minPassword && len(password) <= maxPassword && utf8.ValidString(password)
}

// noHash is compared with if there is no such agent, so that the time of the answer does not reveal it.
var noHash = encodeHash(make([]byte, argonSalt), make([]byte, argonKey))
