package hooks

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	vectorID   = "msg_01RINGHOOKVECTOR0000000001"
	vectorBody = `{"type":"call.ended","timestamp":"2026-01-15T09:30:00Z","data":{"call_id":"c-1001","caller":"+15550100","name":"Zoë"}}`
	newSecret  = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	oldSecret  = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	edSecret   = "whsk_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8lQ7kv8QlVEUdq3INp223ckzZloRl43aFATuEGbKlVnQ=="
)

func signedBy(t *testing.T, id, timestamp, body string, secrets ...string) string {
	t.Helper()
	var signers []signer
	for _, secret := range secrets {
		s, err := parseSecret(secret)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	got, err := sign(signers, id, timestamp, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestSignatures checks the vectors of the reference libraries and of ringhook (T-SIG-01).
func TestSignatures(t *testing.T) {
	f := func(id, timestamp, body, want string, secrets ...string) {
		t.Helper()
		if got := signedBy(t, id, timestamp, body, secrets...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`,
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f(vectorID, "1768469400", vectorBody, "v1,3+GOVa4V1pNf8hS+yTK/O3sDZTsGHBLSLvLsL7nJFHI=", newSecret)
	f(vectorID, "1768469400", vectorBody,
		"v1,3+GOVa4V1pNf8hS+yTK/O3sDZTsGHBLSLvLsL7nJFHI= v1,o9q9iIwis/yidNVlnmV0D8jvrMT9cjMD4JJy5KkTrrg=", newSecret, oldSecret)
	f(vectorID, "1768469400", vectorBody,
		"v1a,CXhid4fCJaf7mpxRtciHRvNx5aocBT9tex7BFiFOd78IG+lc9ob9ENjHFEM722ICRNTtvab9CWnApitP/Ao8BQ==", edSecret)
	// The prefix is optional (T-SIG-04).
	f(vectorID, "1768469400", vectorBody, "v1,3+GOVa4V1pNf8hS+yTK/O3sDZTsGHBLSLvLsL7nJFHI=", strings.TrimPrefix(newSecret, "whsec_"))
}

// verify verifies a signature like a receiver.
func verify(secret, id, timestamp, header, body string, now time.Time) error {
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || now.Sub(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return errors.New("id or time")
	}
	s, err := parseSecret(secret)
	if err != nil {
		return err
	}
	want, err := sign([]signer{s}, id, timestamp, []byte(body))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(strings.Fields(header), func(got string) bool { return hmac.Equal([]byte(got), []byte(want)) }) {
		return errors.New("signature")
	}
	return nil
}

// TestVerifierRefuses checks the requests that a receiver must refuse (T-SIG-02).
func TestVerifierRefuses(t *testing.T) {
	now := time.Unix(1768469400, 0)
	good := signedBy(t, vectorID, "1768469400", vectorBody, newSecret)
	f := func(ok bool, id, timestamp, header, body string, now time.Time) {
		t.Helper()
		if err := verify(newSecret, id, timestamp, header, body, now); (err == nil) != ok {
			t.Errorf("got %v", err)
		}
	}
	value := strings.TrimPrefix(good, "v1,")
	f(true, vectorID, "1768469400", good, vectorBody, now)
	f(true, vectorID, "1768469400", "v2,x v1,y "+good, vectorBody, now)
	f(false, "", "1768469400", good, vectorBody, now)
	f(false, vectorID, "", good, vectorBody, now)
	f(false, vectorID, "1768469400", "", vectorBody, now)
	f(false, vectorID, "1768469400", good, vectorBody+" ", now)
	f(false, vectorID, "1768469400", good, vectorBody, now.Add(301*time.Second))
	f(false, vectorID, "1768469400", good, vectorBody, now.Add(-301*time.Second))
	f(false, vectorID, "1768469400", "v1,", vectorBody, now)
	f(false, vectorID, "1768469400", "v2,"+value, vectorBody, now)
	f(false, vectorID, "1768469400", value, vectorBody, now)
	f(false, vectorID, "1768469400", strings.TrimRight(good, "="), vectorBody, now)
}

// TestAttemptsAreSigned checks that each attempt has its own time and the same id, and signs the bytes that it
// sends, in every format (T-SIG-03, T-SIG-05).
func TestAttemptsAreSigned(t *testing.T) {
	for _, format := range []string{"query", "form", "json", "xml", "standard"} {
		h := testHook(t, func(c *Config) { c.Format, c.Secret, c.OldSecret = format, newSecret, oldSecret })
		ev, now := hangup(), time.Unix(1768469400, 0)
		seen := make(map[string]bool)
		for range 2 {
			req, err := h.request(ev, now)
			if err != nil {
				t.Fatal(err)
			}
			header := make(map[string]string)
			for _, h := range req.Header {
				header[h[0]] = h[1]
			}
			for _, secret := range []string{newSecret, oldSecret} {
				if err := verify(secret, ev.ID, header["webhook-timestamp"], header["webhook-signature"], string(req.Body), now); err != nil {
					t.Errorf("%s: %v", format, err)
				}
			}
			if header["webhook-id"] != ev.ID || seen[header["webhook-signature"]] {
				t.Errorf("%s: got %v", format, header)
			}
			seen[header["webhook-signature"]] = true
			now = now.Add(time.Minute)
		}
	}
}

// TestSecretsRefused checks that invalid secrets and an ambiguous id are refused (T-SIG-04).
func TestSecretsRefused(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		"", "whsec_", "whsec_hush", "hush hush", "whsec_" + encode(make([]byte, 23)), "whsec_" + encode(make([]byte, 65)),
		"whsec_" + base64.RawStdEncoding.EncodeToString(make([]byte, 32)), "whsk_" + encode(make([]byte, 64)), "whsk_" + encode(make([]byte, 32)), "whpk_hush",
	} {
		if _, err := parseSecret(secret); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v", secret, err)
		}
	}
	h := testHook(t, func(c *Config) { c.Secret = newSecret })
	ev := hangup()
	ev.ID = "msg_1.2"
	if _, err := h.request(ev, time.Now()); err == nil {
		t.Error("an id with a full stop was signed")
	}
}
