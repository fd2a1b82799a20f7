// Command verify checks by its signature that a request comes from ringhook. Copy Verify
// into a receiver. As a program it reads a request as it came over the wire, headers, an
// empty line and the body:
//
//	go run verify.go whsec_... < request
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

// Tolerance is the maximum difference of the clocks.
const Tolerance = 5 * time.Minute

// Verify returns the reason to refuse a request, nil if it is valid. The body is the
// bytes as they came: JSON that was parsed and written again has another
// signature.
func Verify(secret string, header http.Header, body []byte, now time.Time) error {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	sent, err := strconv.ParseUint(timestamp, 10, 40)
	if id == "" || err != nil {
		return errors.New("no webhook-id or webhook-timestamp")
	}
	if now.Sub(time.Unix(int64(sent), 0)).Abs() > Tolerance {
		return errors.New("too old, or from the future")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return errors.New("the secret is not base64")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	// During a change of the secret there are two signatures: one must match.
	for got := range strings.SplitSeq(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(got), []byte(want)) {
			return nil
		}
	}
	return errors.New("no signature matches")
}

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("good")
}

func run() error {
	if len(os.Args) != 2 && len(os.Args) != 3 {
		return errors.New("usage: verify SECRET [UNIX-TIME] < request")
	}
	now := time.Now()
	if len(os.Args) == 3 {
		seconds, err := strconv.ParseInt(os.Args[2], 10, 64)
		if err != nil {
			return err
		}
		now = time.Unix(seconds, 0)
	}
	in := bufio.NewReader(os.Stdin)
	header, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return Verify(os.Args[1], http.Header(header), body, now)
}
