package pipeline

import (
	"fmt"
	"strings"
)

// A path leads through JSON objects to a value: names with dots between them, such as meta.next_cursor. It is the same
// in every key of the pipeline file that takes one. A name with other signs than letters, digits, _ , - , @ , : , $ and
// / in it, or of digits alone, is written in double quotes: meta."next page". In quotes, \" is a quote and \\ a
// backslash.
//
// Dots in a name need no quotes where nothing else can be meant: @odata.nextLink is read as nextLink in @odata, and as
// one name too. See [PathTakes].

// PathError says why a text is no path.
type PathError struct {
	Path    string
	Problem string // subject is the path: "is not a path: a name is empty"
	Hint    string // what to write instead
}

func (e *PathError) Error() string { return fmt.Sprintf("%q %s; %s", e.Path, e.Problem, e.Hint) }

// ParsePath returns the names of a path, at least one. The error is a *[PathError].
func ParsePath(text string) ([]string, error) {
	var names []string
	for rest := text; ; {
		name, after, err := pathName(rest)
		if err == nil && len(names) == 0 && name == "$" && rest[0] == '$' {
			err = &PathError{Problem: "begins with $", Hint: "a path begins with the first name: " + firstName(text)}
		}
		if err != nil {
			err.Path = text
			return nil, err
		}
		names = append(names, name)
		if after == "" {
			return names, nil
		}
		rest = after[1:]
	}
}

// firstName is what a JSONPath goes on with, or an example.
func firstName(text string) string {
	if rest := strings.TrimPrefix(text, "$."); rest != text && rest != "" && !strings.ContainsAny(rest, "[*@?$") {
		return rest
	}
	return "data.items"
}

// pathName reads one name and returns what follows it: nothing, or a dot and more.
func pathName(s string) (name, after string, err *PathError) {
	if strings.HasPrefix(s, `"`) {
		return quotedName(s)
	}
	name, _, dot := strings.Cut(s, ".")
	if dot {
		after = s[len(name):]
	}
	switch {
	case name == "":
		return "", "", &PathError{Problem: "is not a dotted path: a name is empty", Hint: "write it as in meta.next_cursor"}
	case strings.ContainsAny(name, "[]*"):
		return "", "", &PathError{
			Problem: "has a place in an array",
			Hint: `a path leads through objects by their names, as in meta.next_cursor; ` +
				`a name with such a sign is quoted: "a[0]"`,
		}
	case strings.Trim(name, "-0123456789") == "":
		return "", "", &PathError{
			Problem: "has a number for a name",
			Hint: `a path leads through objects by their names, not to a place in an array; ` +
				`where a name is a number, quote it: totals."2024"`,
		}
	case strings.ContainsAny(name, "\"'\\ \t\r\n()?") || strings.HasPrefix(name, "/"):
		return "", "", &PathError{
			Problem: "has signs that need quotes",
			Hint:    `write names with dots between them, and quote a name with other signs: meta."next page"`,
		}
	}
	return name, after, nil
}

func quotedName(s string) (name, after string, err *PathError) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] != '"':
			b.WriteByte(s[i])
		case b.Len() == 0:
			return "", "", &PathError{Problem: "is not a dotted path: a name is empty", Hint: "write it as in meta.next_cursor"}
		case i+1 == len(s):
			return b.String(), "", nil
		case s[i+1] != '.':
			return "", "", &PathError{
				Problem: "has more behind a quoted name",
				Hint:    `after the quote comes a dot, or nothing: meta."next page".id`,
			}
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", &PathError{Problem: "has a quote that does not end", Hint: `quote a whole name: meta."next page"`}
}

// PathNames is [ParsePath] for a text that is known to be a path. Of another one it is the whole as one name.
func PathNames(text string) []string {
	names, err := ParsePath(text)
	if err != nil {
		return []string{text}
	}
	return names
}

// FormatPath is the text of a path that [ParsePath] reads back.
func FormatPath(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = name
		if _, after, err := pathName(name); err != nil || after != "" || i == 0 && name == "$" {
			quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		}
	}
	return strings.Join(quoted, ".")
}

// PathTakes says how many names of a path, from its beginning, the name of an object's member stands for: one where
// they are equal; several where the member's name is these with dots between them; 0: the path does not lead there.
func PathTakes(path []string, member string) int {
	for i, name := range path {
		rest, ok := strings.CutPrefix(member, name)
		switch {
		case !ok:
			return 0
		case rest == "":
			return i + 1
		case rest[0] != '.':
			return 0
		}
		member = rest[1:]
	}
	return 0
}
