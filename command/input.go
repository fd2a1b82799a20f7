package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// readInput returns the text of a file, or of standard input if its name is -, without a byte order mark. A text of
// more than limit bytes is an error: half a list must not pass for the whole.
func readInput(name string, limit int) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes, the maximum", name, limit)
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}
