package fastagi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const hangupLine = "HANGUP\n"

var (
	hangupWord = []byte("HANGUP")
	variableIs = []byte("200 result=1")
	valueIs    = []byte("200 result=1 (")

	errCut = errors.New("asterisk closed before its last reply")
)

// reply takes the reply to one command and returns its code. HANGUP lines may
// stand in front of it; a 520 goes on for as many lines as it needs.
func (s *Session) reply() (code int, err error) {
	line, err := s.in.line()
	for err == nil && bytes.Equal(line, hangupWord) {
		s.hungup = true
		line, err = s.in.line()
	}
	if err == nil {
		if bytes.Equal(line, variableIs) {
			return 200, nil
		}
		code, err = replyCode(line)
	}
	if err == nil && line[3] == '-' {
		err = s.skipUsage(code)
	}
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return code, err
}

// replyCode reads the first line of a reply: a code and a blank, or a hyphen
// where more lines follow. A value in a 200 ends with its line.
func replyCode(line []byte) (int, error) {
	if len(line) < 4 || line[3] != ' ' && line[3] != '-' {
		return 0, errStep
	}
	code := 0
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, errStep
		}
		code = 10*code + int(c-'0')
	}
	if code == 200 {
		rest, ok := bytes.CutPrefix(line, []byte("200 result="))
		if !ok || bytes.IndexByte(rest, '(') >= 0 && !bytes.HasSuffix(rest, []byte(")")) {
			return 0, errStep
		}
	}
	return code, nil
}

// skipUsage reads up to "520 End of proper usage."
func (s *Session) skipUsage(code int) error {
	last := fmt.Appendf(nil, "%d ", code)
	for n := 0; ; {
		line, err := s.in.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, last) {
			return nil
		}
		if n += len(line); n > maxReply {
			return errTooLong
		}
	}
}

// refusal says what a reply means that is not the wanted one.
func refusal(code int) error {
	switch code {
	case 200:
		return errors.New("reply without a value")
	case 511: // only for a channel that is gone
		return fmt.Errorf("reply 511: %w", ErrHangup)
	}
	return fmt.Errorf("reply %d", code)
}

// confirm matches a reply to each variable of the batch.
func (s *Session) confirm(vars []Variable) (first error) {
	if s.lost {
		return fmt.Errorf("set variables: replies not read: %w", errStep)
	}
	for _, v := range vars {
		if !ValidName(v.Name) {
			continue
		}
		code, err := s.reply()
		if err != nil {
			s.lost = true
			return errors.Join(first, fmt.Errorf("set variable %s: %w", v.Name, err))
		}
		if code != 200 && first == nil {
			first = fmt.Errorf("set variable %s: %w", v.Name, refusal(code))
		}
	}
	return first
}

// framed takes the reply to a command of appendRead: a frame ends each value
// and the last one is followed by a parenthesis and a newline, so that nothing
// within a value can end the reply.
func (s *Session) framed(frame string, fields int) ([]string, error) {
	end := []byte(frame + ")\n")
	for {
		have := s.in.bytes()
		switch {
		case bytes.HasPrefix(have, []byte(hangupLine)):
			s.hungup = true
			s.in.take(len(hangupLine))
			continue
		case bytes.HasPrefix(have, valueIs):
			i := bytes.Index(have, end)
			if i < 0 {
				break
			}
			values := strings.Split(string(have[len(valueIs):i]), frame)
			s.in.take(i + len(end))
			if len(values) != fields {
				return nil, fmt.Errorf("%d values for %d names", len(values), fields)
			}
			for i, v := range values {
				values[i] = valid(v)
			}
			return values, nil
		case bytes.IndexByte(have, '\n') >= 0:
			code, err := s.reply()
			if err == nil {
				err = refusal(code)
			}
			return nil, err
		}
		if err := s.in.more(maxReply); err != nil {
			if errors.Is(err, io.EOF) {
				err = errCut
			}
			return nil, err
		}
	}
}
