package paginate

import "strings"

// findLink returns the target of the first link with the relation rel in a Link header (RFC 8288, section 3), which may
// be several headers joined by commas; empty if there is none. Links that are malformed are passed over.
//
// A comma inside of a URL does not end it.
func findLink(header, rel string) string {
	for header != "" {
		_, rest, ok := strings.Cut(header, "<")
		if !ok {
			return ""
		}
		target, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return ""
		}
		var rels string
		rels, header = linkRelations(rest)
		for r := range strings.FieldsSeq(rels) {
			if strings.EqualFold(r, rel) {
				return strings.TrimSpace(target)
			}
		}
	}
	return ""
}

// linkRelations reads the parameters of a link, up to the comma that ends it, and returns the first rel among them.
func linkRelations(s string) (rels, rest string) {
	found := false
	for {
		s = strings.TrimLeft(s, " \t;")
		if s == "" || s[0] == ',' {
			return rels, s
		}
		n := strings.IndexAny(s, "=;,")
		if n < 0 {
			return rels, ""
		}
		name := strings.TrimSpace(s[:n])
		if s[n] != '=' {
			s = s[n:]
			continue
		}
		var value string
		value, s = linkValue(strings.TrimLeft(s[n+1:], " \t"))
		if !found && strings.EqualFold(name, "rel") {
			rels, found = value, true
		}
	}
}

// linkValue reads a token or a quoted string.
func linkValue(s string) (value, rest string) {
	if s == "" || s[0] != '"' {
		n := strings.IndexAny(s, ";,")
		if n < 0 {
			n = len(s)
		}
		return strings.TrimSpace(s[:n]), s[n:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
