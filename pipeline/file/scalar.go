package file

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// text is a single value as it is written, numbers and times too. Tags: words lists the allowed ones, pattern
// "name" asks for a name of a pipeline or stream, empty "ok" allows "".
type text struct {
	leaf
	s    string
	refs bool // s comes from a reference, and must not be shown
}

// scalar returns a single value with its references resolved, or reports what is wrong.
func (d *decoder) scalar(p place, want string) (s string, refs, ok bool) {
	if p.node.Kind != yaml.ScalarNode || p.node.Tag == "!!null" {
		d.reportf(p, "", "%s; want %s", kindOf(p.node), want)
		return "", false, false
	}
	switch p.node.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
	default:
		d.reportf(p, "", "it has a tag (!name) that is not known here; want %s", want)
		return "", false, false
	}
	s, refs, errs := d.refs.resolve(p.node.Value)
	for _, err := range errs {
		d.reportf(p, "", "%v", err)
	}
	return s, refs, len(errs) == 0
}

// shown is a value as messages may show it: a reference as it is written, never what it stands for, and nothing that
// may be a secret itself.
func shown(p place) string {
	if mayHoldSecret(keysOf(p.path)) {
		return "this"
	}
	return quote(p.node.Value)
}

func (t *text) decode(d *decoder, p place) {
	t.begin(p)
	words := strings.Fields(p.tag.Get("words"))
	want := "text"
	if len(words) > 0 {
		want = "one of " + strings.Join(words, ", ")
	}
	t.s, t.refs, t.ok = d.scalar(p, want)
	switch {
	case !t.ok:
	case t.s == "" && p.tag.Get("empty") != "ok":
		if t.refs {
			want = "text, and " + shown(p) + " stands for nothing"
		}
		t.failf(d, "", "is empty; want %s", want)
	case len(words) > 0 && !slices.Contains(words, t.s):
		t.failf(d, didYouMean(p.node.Value, words, "known"), "%s is not known", shown(p))
	case p.tag.Get("pattern") == "name":
		if why := badName(t.s); why != "" {
			t.failf(d, nameHint, "%s %s", shown(p), why)
		}
	}
}

// show is the text as messages may show it, resolved only if that shows nothing that comes from elsewhere.
func (t *text) show() string {
	if t.refs {
		return shown(t.place)
	}
	return quote(t.s)
}

func (l *leaf) failf(d *decoder, hint, format string, args ...any) {
	l.ok = false
	d.reportf(l.place, hint, format, args...)
}

// secret is text that is never shown.
type secret struct {
	leaf
	v pipeline.Secret
}

func (s *secret) decode(d *decoder, p place) {
	s.begin(p)
	v, _, ok := d.scalar(p, "text")
	s.v, s.ok = pipeline.Secret(v), ok
	if ok && v == "" && p.tag.Get("empty") != "ok" {
		s.failf(d, "", "is empty")
	}
}

// integer is a whole number from min to max.
type integer struct {
	leaf
	n int64
}

func (i *integer) decode(d *decoder, p place) {
	i.begin(p)
	want := fmt.Sprintf("a whole number from %s to %s", p.tag.Get("min"), p.tag.Get("max"))
	s, _, ok := d.scalar(p, want)
	if !ok {
		return
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < tagInteger(p, "min") || n > tagInteger(p, "max") {
		i.failf(d, "", "%s is not %s", shown(p), want)
		return
	}
	i.n, i.ok = n, true
}

func tagInteger(p place, name string) int64 {
	n, err := strconv.ParseInt(p.tag.Get(name), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s: tag %s: %v", p.path, name, err))
	}
	return n
}

// flag is true or false.
type flag struct {
	leaf
	on bool
}

func (f *flag) decode(d *decoder, p place) {
	f.begin(p)
	s, _, ok := d.scalar(p, "true or false")
	if f.ok = ok; ok && s != "true" && s != "false" {
		f.failf(d, "", "%s is neither true nor false", shown(p))
	}
	f.on = s == "true"
}

// duration is a time such as 90s, 1h30m or 7d, from min (else 0s) to max.
type duration struct {
	leaf
	d time.Duration
}

func (v *duration) decode(d *decoder, p place) {
	v.begin(p)
	s, _, ok := d.scalar(p, "a duration such as 30s or 1h30m")
	if !ok {
		return
	}
	t, err := parseDuration(s)
	least, most := time.Duration(0), tagDuration(p, "max")
	if p.tag.Get("min") != "" {
		least = tagDuration(p, "min")
	}
	switch {
	case err != nil:
		hint := "write it as in 500ms, 30s, 1h30m or 7d"
		if digits.MatchString(p.node.Value) {
			hint = fmt.Sprintf("did you mean %q?", p.node.Value+"s")
		}
		v.failf(d, hint, "%s is not a duration", shown(p))
	case t < least || t > most:
		v.failf(d, "", "%s is out of range: from %s to %s", shown(p), readable(least), readable(most))
	default:
		v.d, v.ok = t, true
	}
}

func tagDuration(p place, name string) time.Duration {
	t, err := parseDuration(p.tag.Get(name))
	if err != nil {
		panic(fmt.Sprintf("%s: tag %s: %v", p.path, name, err))
	}
	return t
}

var (
	digits = regexp.MustCompile(`^\d{1,6}$`)
	days   = regexp.MustCompile(`^(\d{1,6})d`)
)

// parseDuration reads what time.ParseDuration reads, with whole days in front: 7d, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	m := days.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 100_000 {
		return 0, fmt.Errorf("%s days are too many", m[1])
	}
	whole := time.Duration(n) * 24 * time.Hour
	if len(s) == len(m[0]) {
		return whole, nil
	}
	rest, err := time.ParseDuration(s[len(m[0]):])
	return whole + rest, err
}

// readable leaves out the zeros at the end of 1h0m0s.
func readable(t time.Duration) string {
	if day := 24 * time.Hour; t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// size is a number of bytes such as 1048576, 512KiB or 8MiB, from min to max.
type size struct {
	leaf
	n int64
}

func (v *size) decode(d *decoder, p place) {
	v.begin(p)
	s, _, ok := d.scalar(p, "a size such as 8MiB")
	if !ok {
		return
	}
	n, err := parseSize(s)
	least, _ := parseSize(p.tag.Get("min"))
	most, _ := parseSize(p.tag.Get("max"))
	switch {
	case err != nil:
		v.failf(d, "write it as in 1048576, 512KiB, 8MiB or 8MB", "%s is not a size", shown(p))
	case n < least || n > most:
		v.failf(d, "", "%s is out of range: from %s to %s", shown(p), p.tag.Get("min"), p.tag.Get("max"))
	default:
		v.n, v.ok = n, true
	}
}

var sizes = regexp.MustCompile(`^(\d{1,12}) ?(|B|[KMG]i?B)$`)

func parseSize(s string) (int64, error) {
	m := sizes.FindStringSubmatch(strings.ReplaceAll(s, "kB", "KB"))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]]
	if err == nil && n > (1<<62)/unit {
		err = fmt.Errorf("%s is too large", s)
	}
	return n * unit, err
}
