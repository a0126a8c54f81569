package file

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// text is a single value as it is written, numbers and times too. Tags: words lists the allowed ones, pattern
// "name" asks for a name of a pipeline or stream, empty "ok" allows "".
type text struct {
	leaf
	s    string
	refs bool // s comes from a reference that is a secret, and must not be shown
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
	v, errs := d.refs.resolve(p.node.Value)
	for _, err := range errs {
		hint := ""
		if errors.Is(err, errUnset) {
			hint = "`millrace validate --offline` checks the file without it"
		}
		d.reportf(p, hint, "%v", err)
	}
	switch refs = len(v.secrets) > 0 || v.unset && !strings.HasPrefix(p.node.Value, "${plain:"); {
	case v.whole: // what it is cannot be known here, so nothing is checked that asks for it
		return "", refs, false
	case !v.unset: // what stands in for a secret is none
		d.secrets.found(p, v.text, v.secrets)
	}
	return v.text, refs, len(errs) == 0
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
			t.failf(d, nameHint(p.node.Value), "%s %s", shown(p), why)
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
	v    pipeline.Secret
	refs bool // v comes from a reference that is a secret
}

func (s *secret) decode(d *decoder, p place) {
	s.begin(p)
	v, refs, ok := d.scalar(p, "text")
	s.v, s.refs, s.ok = pipeline.Secret(v), refs, ok
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
	n, err := parseInteger(s)
	if least, most := bounds(p, parseInteger); err != nil || n < least || n > most {
		i.failf(d, "", "%s is not %s", shown(p), want)
		return
	}
	i.n, i.ok = n, true
}

func parseInteger(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// bounds are the tags min and max of a key. Without min, the least value is the zero one.
func bounds[T any](p place, parse func(string) (T, error)) (least, most T) {
	tag := func(name string) T {
		v, err := parse(p.tag.Get(name))
		if err != nil {
			panic(fmt.Sprintf("%s: tag %s: %v", p.path, name, err))
		}
		return v
	}
	if p.tag.Get("min") != "" {
		least = tag("min")
	}
	return least, tag("max")
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
