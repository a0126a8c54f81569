package fetch_test

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestCharsets: whatever a body is written in, it is UTF-8 without a byte order mark afterwards.
func TestCharsets(t *testing.T) {
	const text = `[{"name":"Grüße, München"}]`
	wide := func(order binary.AppendByteOrder, mark bool) string {
		var b []byte
		if mark {
			b = order.AppendUint16(b, 0xfeff)
		}
		for _, u := range utf16.Encode([]rune(text + "𝄞")) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	latin := strings.NewReplacer("ü", "\xfc", "ß", "\xdf").Replace(text)
	for name, c := range map[string]struct{ kind, charset, body, want string }{
		"UTF-8":                     {"application/json", "", text, text},
		"UTF-8 by name":             {"application/json; charset=UTF-8", "", text, text},
		"not UTF-8, as it came":     {"application/json", "", latin, latin},
		"byte order mark":           {"application/json", "", "\xef\xbb\xbf" + text, text},
		"mark before another":       {"application/json; charset=iso-8859-1", "", "\xef\xbb\xbf" + text, text},
		"Latin-1":                   {"application/json; charset=ISO-8859-1", "", latin, text},
		"labelled Latin-1, UTF-8":   {"application/json; charset=ISO-8859-1", "", text + "𝄞", text + "𝄞"},
		"windows-1252":              {"application/json; charset=windows-1252", "", latin, text},
		"the file knows better":     {"application/json; charset=iso-8859-1", "utf-8", text, text},
		"the file says Latin-1":     {"application/json", "iso-8859-1", latin, text},
		"UTF-16 little, mark":       {"application/json", "", wide(binary.LittleEndian, true), text + "𝄞"},
		"UTF-16 big, mark":          {"application/json", "", wide(binary.BigEndian, true), text + "𝄞"},
		"UTF-16 little, by name":    {"application/json; charset=utf-16le", "", wide(binary.LittleEndian, false), text + "𝄞"},
		"UTF-16 big, by its zeroes": {"application/json; charset=utf-16", "", wide(binary.BigEndian, false), text + "𝄞"},
		"UTF-16 little, by zeroes":  {"application/json", "", wide(binary.LittleEndian, false), text + "𝄞"},
		"short":                     {"application/json", "", "7", "7"},
	} {
		h := settings()
		h.Charset = c.charset
		cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
			a := answer(r, 200, c.body, "Content-Type", c.kind)
			a.ContentLength = int64(len(c.body))
			return a, nil
		}))
		if got, err := get(t.Context(), cl, h.BaseURL); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	h := settings()
	h.Retry.Attempts = 1
	cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
		return answer(r, 200, "[]", "Content-Type", "application/json; charset=klingon"), nil
	}))
	if _, err := get(t.Context(), cl, h.BaseURL); err == nil || !strings.Contains(err.Error(), `"klingon" is not known`) {
		t.Errorf("an unknown one: %v", err)
	}
}
