package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// inUTF8 returns a body in UTF-8 (RFC 8259, section 8.1) without a byte order mark, and its size, or -1. The byte order
// mark counts, then zero bytes, which no JSON begins with but that in UTF-16, then name, as [Client.charset] has it.
func (c *Client) inUTF8(body io.Reader, size int64, name string) (io.Reader, int64, error) {
	var head [4]byte
	n, err := io.ReadFull(body, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, 0, err
	}
	begin := head[:n]
	whole := io.MultiReader(bytes.NewReader(begin), body)
	switch {
	case bytes.HasPrefix(begin, []byte("\xef\xbb\xbf")):
		return io.MultiReader(bytes.NewReader(begin[3:]), body), max(size-3, -1), nil
	case bytes.HasPrefix(begin, []byte("\xff\xfe")), bytes.HasPrefix(begin, []byte("\xfe\xff")):
		return decoded(whole, unicode.UTF16(unicode.BigEndian, unicode.UseBOM))
	case n >= 2 && begin[0] == 0 && begin[1] != 0:
		return decoded(whole, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM))
	case n >= 2 && begin[0] != 0 && begin[1] == 0:
		return decoded(whole, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM))
	}
	if name == "" {
		return whole, size, nil
	}
	set, err := htmlindex.Get(name)
	if err != nil {
		return nil, 0, fmt.Errorf("the character set %.40q is not known; name the one that it is with http.charset", name)
	}
	switch canonical, _ := htmlindex.Name(set); {
	case canonical == "utf-8":
		return whole, size, nil
	case canonical == "windows-1252" && c.h.Charset == "":
		return transform.NewReader(whole, mixed{}), -1, nil
	}
	return decoded(whole, set)
}

// charset is what is said of the character set of a body, by the pipeline file, else by the Content-Type; empty:
// nothing.
func (c *Client) charset(h http.Header) string {
	if c.h.Charset != "" {
		return c.h.Charset
	}
	kind := h.Get("Content-Type")
	if !strings.Contains(kind, ";") {
		return ""
	}
	_, params, _ := mime.ParseMediaType(kind)
	return params["charset"]
}

// mixed decodes what is labelled ISO-8859-1 (Windows-1252, by the WHATWG Encoding Standard). Many servers label every
// answer so, and JSON that is UTF-8 too: so sequences of bytes that are UTF-8 pass as they are. Two letters with
// accents side by side in ISO-8859-1 are hardly ever such a sequence.
type mixed struct{ transform.NopResetter }

// Transform implements [transform.Transformer].
func (mixed) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r = charmap.Windows1252.DecodeByte(src[nSrc])
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

func decoded(r io.Reader, set encoding.Encoding) (io.Reader, int64, error) {
	return set.NewDecoder().Reader(r), -1, nil
}
