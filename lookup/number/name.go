package number

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// charset returns a charset by its name, nil for UTF-8 and for no name. A charset in
// which ASCII is not one byte is none of a caller's name.
func charset(name string) (encoding.Encoding, error) {
	if name == "" {
		return nil, nil
	}
	c, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("unknown charset %q", name)
	}
	switch canonical, _ := htmlindex.Name(c); {
	case canonical == "utf-8":
		return nil, nil
	case canonical == "replacement", strings.HasPrefix(canonical, "utf-16"):
		return nil, fmt.Errorf("charset %q is not supported", name)
	}
	return c, nil
}

// IsCharset reports whether a caller's name can be in a charset of this name.
func IsCharset(name string) bool {
	_, err := charset(name)
	return err == nil
}

// Name returns a caller's name in UTF-8. A name that is not UTF-8 is read in the
// charset of the trunk, or in that of [number] if the trunk's is empty; characters that
// are none there either become U+FFFD.
func (n *Reader) Name(raw, trunk string) string {
	if utf8.ValidString(raw) {
		return raw
	}
	c := n.charset
	if trunk != "" {
		c, _ = charset(trunk) // of an unknown charset it is nil
	}
	if c == nil {
		return raw
	}
	name, err := c.NewDecoder().String(raw)
	if err != nil {
		return raw
	}
	return name
}
