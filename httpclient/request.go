package httpclient

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// Request is what is to be sent.
type Request struct {
	Method string // GET when empty
	URL    string // absolute, http or https
	// Header is sent in this order, with the names as they are written here.
	Header      [][2]string
	ContentType string // of Body; not sent if Header has one
	Body        []byte
	// File follows Body; nil for none.
	File *File
	// Fresh closes the idle connections to the host first, so that the request goes out on a new one.
	Fresh bool
	// KeepHeader fills the Header of the response.
	KeepHeader bool
}

// File is a part of a request that is read while it is sent.
type File struct {
	io.ReaderAt
	Size   int64  // in bytes; what the file has beyond them is not sent
	Base64 bool   // the file is sent in base64
	Tail   []byte // follows the file
}

// length returns the number of bytes that are sent.
func (f *File) length() int64 {
	n := f.Size
	if f.Base64 {
		n = (n + 2) / 3 * 4
	}
	return n + int64(len(f.Tail))
}

// length returns the number of bytes of the request's body.
func (r *Request) length() int64 {
	n := int64(len(r.Body))
	if r.File != nil {
		n += r.File.length()
	}
	return n
}

// reader returns what follows Body, nil for nothing.
func (f *File) reader() io.Reader {
	if f == nil {
		return nil
	}
	var content io.Reader = io.NewSectionReader(f, 0, f.Size)
	if f.Base64 {
		content = &base64Reader{content: content}
	}
	return io.MultiReader(content, bytes.NewReader(f.Tail))
}

// base64Reader reads what another reader has, in base64.
type base64Reader struct {
	content io.Reader
	encoded []byte // and not read yet
	buffer  []byte
	plain   [48 << 10]byte // a multiple of 3: only the last part is padded
}

// Read implements io.Reader.
func (b *base64Reader) Read(p []byte) (int, error) {
	if len(b.encoded) == 0 {
		n, err := io.ReadFull(b.content, b.plain[:])
		if n == 0 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		b.buffer = base64.StdEncoding.AppendEncode(b.buffer[:0], b.plain[:n])
		b.encoded = b.buffer
	}
	n := copy(p, b.encoded)
	b.encoded = b.encoded[n:]
	return n, nil
}

// userAgent is sent unless the request has one of its own.
const userAgent = "ringhook"

// AppendTo appends the request as it is sent over the wire by a client that offers no compression, up to its File.
func (r *Request) AppendTo(dst []byte) ([]byte, error) {
	dst, _, err := r.append(dst, false)
	return dst, err
}

// target is the server that a request goes to.
type target struct {
	host   string // with its port if the URL has one
	secure bool
}

// append appends the request as it is sent, and returns where to. Errors do not show the URL or a header, which may be
// secret.
func (r *Request) append(dst []byte, gzip bool) ([]byte, target, error) {
	uri := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(uri)
	if strings.ContainsFunc(r.URL, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return dst, target{}, errors.New("url has a blank or a control character in it")
	}
	if err := uri.Parse(nil, []byte(r.URL)); err != nil || len(uri.Host()) == 0 {
		return dst, target{}, errors.New("url is not absolute or not well-formed")
	}
	// Normalizing would decode %2F and fold dots: a placeholder's value could then leave the part of the path that it was
	// escaped for. Parse resets the field.
	uri.DisablePathNormalizing = true
	to := target{host: string(uri.Host())}
	switch string(uri.Scheme()) {
	case "http":
	case "https":
		to.secure = true
	default:
		return dst, target{}, errors.New("url is neither http nor https")
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if method == http.MethodGet && r.length() > 0 {
		return dst, target{}, errors.New("request has a body and the method GET")
	}
	dst = append(append(dst, method...), ' ')
	dst = append(append(dst, uri.RequestURI()...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, to.host...), "\r\n"...)
	if !r.has("User-Agent") {
		dst = appendHeaderLine(dst, "User-Agent", userAgent)
	}
	for _, h := range r.Header {
		if !headerName.MatchString(h[0]) || strings.ContainsAny(h[1], "\r\n\x00") {
			return dst, target{}, errors.New("header has a name that is none, or a line break in it")
		}
		dst = appendHeaderLine(dst, h[0], h[1])
	}
	if user := uri.Username(); len(user) > 0 && !r.has("Authorization") {
		dst = appendHeaderLine(dst, "Authorization", basic(unescaped(string(user)), unescaped(string(uri.Password()))))
	}
	if gzip {
		dst = appendHeaderLine(dst, "Accept-Encoding", "gzip")
	}
	if r.ContentType != "" && !r.has("Content-Type") {
		if strings.ContainsAny(r.ContentType, "\r\n\x00") {
			return dst, target{}, errors.New("content type has a line break in it")
		}
		dst = appendHeaderLine(dst, "Content-Type", r.ContentType)
	}
	if method != http.MethodGet {
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), r.length(), 10), "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, r.Body...), to, nil
}

func appendHeaderLine(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// basic returns the value of the header Authorization for basic authentication.
func basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// unescaped decodes what is percent-encoded before the host of a URL. Text that cannot be decoded stays as it is.
func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// has reports whether a header is among those of the request.
func (r *Request) has(name string) bool {
	return slices.ContainsFunc(r.Header, func(h [2]string) bool { return strings.EqualFold(h[0], name) })
}
