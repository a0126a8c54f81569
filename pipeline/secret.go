package pipeline

import (
	"fmt"
	"log/slog"
	"net/textproto"
	"strings"
)

// Secret is text that must not be seen: it prints, logs and marshals as "[secret]" (P8). In an unexported field
// of another package it is out of reach of these methods: fmt then shows it, so such a struct must not be printed.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

const hidden = "[secret]"

// String hides the text.
func (s Secret) String() string { return hidden }

// GoString hides the text from %#v.
func (s Secret) GoString() string { return hidden }

// Format hides the text from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the text from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reference is a secret and where it comes from.
type Reference struct {
	Name  string // as the file refers to it: TOKEN or file:PATH; empty: it stands in the file itself
	Value Secret
}

// PlainHeader reports whether the value of a header that stands in the file is no credential, by its name.
func PlainHeader(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return strings.HasPrefix(name, "Accept") || strings.HasPrefix(name, "Content-") || strings.HasSuffix(name, "-Version") ||
		name == "User-Agent" || name == "Prefer"
}

// Types that hold secrets format themselves, whatever the verb, as with %v. Else fmt would take a pointer to one of
// them and a verb that fits no pointer, such as %s, for a mistake, and print all that it points to without asking
// anything in it how it wants to be shown.

// Format is %v, whatever the verb.
func (p Pipeline) Format(f fmt.State, _ rune) { type plain Pipeline; format(f, plain(p)) }

// Format is %v, whatever the verb.
func (k Kafka) Format(f fmt.State, _ rune) { type plain Kafka; format(f, plain(k)) }

// Format is %v, whatever the verb.
func (s SASL) Format(f fmt.State, _ rune) { type plain SASL; format(f, plain(s)) }

// Format is %v, whatever the verb.
func (d Database) Format(f fmt.State, _ rune) { type plain Database; format(f, plain(d)) }

// Format is %v, whatever the verb.
func (s Stream) Format(f fmt.State, _ rune) { type plain Stream; format(f, plain(s)) }

// Format is %v, whatever the verb.
func (i Ingest) Format(f fmt.State, _ rune) { type plain Ingest; format(f, plain(i)) }

// Format is %v, whatever the verb.
func (h HTTP) Format(f fmt.State, _ rune) { type plain HTTP; format(f, plain(h)) }

// Format is %v, whatever the verb.
func (a Auth) Format(f fmt.State, _ rune) { type plain Auth; format(f, plain(a)) }

// Format is %v, whatever the verb.
func (k APIKey) Format(f fmt.State, _ rune) { type plain APIKey; format(f, plain(k)) }

// Format is %v, whatever the verb.
func (b Basic) Format(f fmt.State, _ rune) { type plain Basic; format(f, plain(b)) }

// Format is %v, whatever the verb.
func (o OAuth2) Format(f fmt.State, _ rune) { type plain OAuth2; format(f, plain(o)) }

// Format is %v, whatever the verb.
func (l Login) Format(f fmt.State, _ rune) { type plain Login; format(f, plain(l)) }

// Format hides the text from every verb of fmt: a body may be a login.
func (b Body) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[body]")) }

// Format is %v, whatever the verb.
func (r Reference) Format(f fmt.State, _ rune) { type plain Reference; format(f, plain(r)) }

func format(f fmt.State, v any) {
	switch {
	case f.Flag('#'):
		_, _ = fmt.Fprintf(f, "%#v", v)
	case f.Flag('+'):
		_, _ = fmt.Fprintf(f, "%+v", v)
	default:
		_, _ = fmt.Fprintf(f, "%v", v)
	}
}
