package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// acceptEncoding is what [unpack] knows (RFC 9110, section 12.5.3).
const acceptEncoding = "gzip, zstd, br"

// zstdWindow bounds the memory that a frame may ask for (RFC 9659).
const zstdWindow = 8 << 20

// unpack gives resp a body without its content codings: those of Content-Encoding, and gzip where the file itself is
// packed, as in an export with the name orders.csv.gz.
func unpack(resp *http.Response) error {
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(resp.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.ToLower(strings.TrimSpace(coding)); coding != "" && coding != "identity" {
			codings = append(codings, coding)
		}
	}
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return nil
	}
	body := resp.Body
	slices.Reverse(codings) // the last one was applied last
	for _, coding := range codings {
		switch coding {
		case "gzip", "x-gzip", "deflate", "br", "zstd":
		default:
			return fmt.Errorf("the content coding %.40q is not known", coding)
		}
		body = &unpacker{coding: coding, packed: body}
	}
	if len(codings) == 0 && !mayBeFile(resp.Header) {
		return nil
	}
	resp.Body, resp.ContentLength = &unpacker{coding: "", packed: body}, -1
	return nil
}

// mayBeFile reports whether what is sent may be a packed file, as its media type does not say that it is text.
func mayBeFile(h http.Header) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	return !strings.Contains(kind, "json") && !strings.HasPrefix(kind, "text/html")
}

// unpacker decodes a content coding; without one, gzip if its magic number is there (RFC 1952, section 2.3.1). It
// begins with the first Read, so that an empty body is empty.
type unpacker struct {
	coding string
	packed io.ReadCloser
	plain  io.Reader
	done   func()
	err    error
}

// Read is that of [io.Reader].
func (u *unpacker) Read(p []byte) (int, error) {
	if u.plain == nil && u.err == nil {
		u.err = u.begin()
	}
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && u.coding != "" {
		err = fmt.Errorf("content coding %s: %w", u.coding, err)
	}
	return n, err
}

func (u *unpacker) begin() (err error) {
	r := bufio.NewReader(u.packed)
	magic, err := r.Peek(2)
	if len(magic) == 0 {
		if u.plain = r; errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	coding := u.coding
	if coding == "" && magic[0] == 0x1f && len(magic) == 2 && magic[1] == 0x8b {
		coding = "gzip"
	}
	switch coding {
	case "gzip", "x-gzip":
		u.plain, err = gzip.NewReader(r)
	case "deflate": // zlib by the standard; some servers leave its frame out
		if magic[0]&0x0f == 8 && len(magic) == 2 && (int(magic[0])<<8|int(magic[1]))%31 == 0 {
			u.plain, err = zlib.NewReader(r)
		} else {
			u.plain = flate.NewReader(r)
		}
	case "br":
		u.plain = brotli.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow)); err == nil {
			u.plain, u.done = d, d.Close
		}
	default:
		u.plain = r
	}
	if err != nil {
		return fmt.Errorf("content coding %s: %w", coding, err)
	}
	return nil
}

// Close gives back the connection.
func (u *unpacker) Close() error {
	if u.done != nil {
		u.done()
	}
	return u.packed.Close()
}

// SizeError says that a body is larger than http.max_body allows.
type SizeError struct{ Max int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the body has more than %d bytes, the limit of http.max_body", e.Max)
}

// limited ends with a [*SizeError] after max bytes; 0: any number.
func limited(r io.Reader, most int64) io.Reader {
	if most <= 0 {
		return r
	}
	return &limitedReader{r, most, most}
}

type limitedReader struct {
	r          io.Reader
	left, most int64
}

// Read is that of [io.Reader].
func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, &SizeError{Max: l.most}
	}
	return n, err
}
