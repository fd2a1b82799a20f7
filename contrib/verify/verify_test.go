package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asSample makes the test binary be the Go sample.
const asSample = "VERIFY_SAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(asSample) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The vectors: one secret, one body with a character of two bytes, and
// the signature by the new secret and the old one.
const (
	secret       = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	oldSecret    = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	id           = "msg_01RINGHOOKVECTOR0000000001"
	at           = 1768469400
	body         = `{"type":"call.ended","timestamp":"2026-01-15T09:30:00Z","data":{"call_id":"c-1001","caller":"+15550100","name":"Zoë"}}`
	signature    = "v1,3+GOVa4V1pNf8hS+yTK/O3sDZTsGHBLSLvLsL7nJFHI="
	oldSignature = "v1,o9q9iIwis/yidNVlnmV0D8jvrMT9cjMD4JJy5KkTrrg="
	otherVersion = "v1a,CXhid4fCJaf7mpxRtciHRvNx5aocBT9tex7BFiFOd78IG+lc9ob9ENjHFEM722ICRNTtvab9CWnApitP/Ao8BQ=="
)

// request is what a sample reads.
type request struct {
	id, timestamp, signature, body string
	secret                         string
	now                            int64
}

func (r request) text() string {
	var b strings.Builder
	for _, h := range [][2]string{{"Content-Type", "application/json"}, {"webhook-id", r.id}, {"Webhook-Timestamp", r.timestamp}, {"WEBHOOK-SIGNATURE", r.signature}} {
		if h[1] != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	return b.String() + "\r\n" + r.body
}

// samples are the commands that run the verifiers.
var samples = map[string][]string{
	"Go":      {os.Args[0]},
	"Node.js": {"node", "verify.js"},
	"PHP":     {"php", "verify.php"},
	"Python":  {"python3", "verify.py"},
}

// TestSamples is T-SIG-01 and T-SIG-02 for every sample: it takes what is
// signed, by either secret, and refuses all else.
func TestSamples(t *testing.T) {
	for language, command := range samples {
		t.Run(language, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("the sample is not tried: %s is not installed", command[0])
			}
			t.Parallel()
			f := func(want string, change func(*request)) {
				t.Helper()
				r := request{id, fmt.Sprint(at), signature, body, secret, at}
				if change != nil {
					change(&r)
				}
				cmd := exec.Command(command[0], append(command[1:], r.secret, fmt.Sprint(r.now))...)
				cmd.Env = append(os.Environ(), asSample+"=1")
				cmd.Stdin = strings.NewReader(r.text())
				out, err := cmd.CombinedOutput()
				if got := strings.TrimSpace(string(out)); got != want || (want == "good") != (err == nil) {
					t.Errorf("said %q and ended with %v, want %q, for\n%s", got, err, want, r.text())
				}
			}
			const (
				good    = "good"
				missing = "no webhook-id or webhook-timestamp"
				clock   = "too old, or from the future"
				none    = "no signature matches"
			)
			f(good, nil)
			f(good, func(r *request) { r.secret = strings.TrimPrefix(secret, "whsec_") })
			f(good, func(r *request) {
				r.id, r.timestamp, r.now = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", 1614265330
				r.secret, r.body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`
				r.signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
			})
			for _, both := range []string{signature + " " + oldSignature, oldSignature + " " + signature, otherVersion + " " + oldSignature + " " + signature} {
				f(good, func(r *request) { r.signature = both })
				f(good, func(r *request) { r.signature, r.secret = both, oldSecret })
			}
			f(good, func(r *request) { r.now += 300 })
			f(good, func(r *request) { r.now -= 300 })

			f(clock, func(r *request) { r.now += 301 })
			f(clock, func(r *request) { r.now -= 301 })
			f(missing, func(r *request) { r.id = "" })
			f(missing, func(r *request) { r.timestamp = "" })
			f(missing, func(r *request) { r.timestamp += "x" })
			f(missing, func(r *request) { r.timestamp = "-" + r.timestamp })
			f(none, func(r *request) { r.signature = "" })
			f(none, func(r *request) { r.id += "1" })
			f(none, func(r *request) { r.timestamp = fmt.Sprint(at + 1) })
			f(none, func(r *request) { r.body = strings.Replace(body, "c-1001", "c-1002", 1) })
			f(none, func(r *request) { r.body += "\n" })
			f(none, func(r *request) { r.secret = oldSecret })
			value := strings.TrimPrefix(signature, "v1,")
			for _, wrong := range []string{"v1,", "v2," + value, value, strings.TrimSuffix(signature, "="), "v1," + value + "=", "V1," + value, "v1, " + value, otherVersion} {
				f(none, func(r *request) { r.signature = wrong })
			}
		})
	}
}
