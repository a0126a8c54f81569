package redact

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// spellings are the ways in which a text may come back.
func spellings(text string) []string {
	if text == "" {
		return nil
	}
	out := []string{
		text, url.QueryEscape(text), url.PathEscape(text), escapeAll(text),
		quoted(strconv.Quote(text)), quoted(strconv.QuoteToASCII(text)), html.EscapeString(text),
		strings.ReplaceAll(text, "/", `\/`),
	}
	if j, err := json.Marshal(text); err == nil {
		escaped := quoted(string(j))
		out = append(out, escaped, strings.ReplaceAll(escaped, "/", `\/`), unescapeHTML.Replace(escaped))
		if again, err := json.Marshal(escaped); err == nil { // JSON in a text of JSON
			out = append(out, quoted(string(again)))
		}
	}
	for _, s := range out {
		if percent.MatchString(s) {
			out = append(out, percent.ReplaceAllStringFunc(s, strings.ToLower))
		}
		if unicode.MatchString(s) {
			out = append(out, unicode.ReplaceAllStringFunc(s, func(u string) string { return `\u` + strings.ToUpper(u[2:]) }))
		}
	}
	return append(out, inBase64(text)...)
}

var (
	percent      = regexp.MustCompile(`%[0-9A-F]{2}`)
	unicode      = regexp.MustCompile(`\\u[0-9a-f]{4}`)
	unescapeHTML = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&") // what encoding/json alone escapes
)

// quoted is what stands between the quotes.
func quoted(s string) string { return s[1 : len(s)-1] }

// escapeAll writes every byte that is no letter or digit as % and two digits.
func escapeAll(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		default:
			b.WriteString("%" + strings.ToUpper(strconv.FormatInt(int64(c)+0x100, 16)[1:]))
		}
	}
	return b.String()
}

// minBase64 is the length of text below which its characters inside of a longer base64 text do not tell it.
const minBase64 = 8

// inBase64 is what text looks like in base64, alone or inside of a longer text, where it may begin at three places of a
// group: the characters that depend on what stands before and behind it are left out.
func inBase64(text string) []string {
	out := []string{base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text))}
	for before := range 3 {
		bytes := append(make([]byte, before), text...)
		from := (before*8 + 5) / 6
		to := len(bytes) * 8 / 6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if inner := encoding.EncodeToString(bytes)[from:to]; len(inner) >= minBase64 {
				out = append(out, inner)
			}
		}
	}
	return out
}
