package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/pipeline"
)

// sealer keeps secrets out of the URLs of next pages, which an API may give with all that it was asked with, and which
// are kept in the state topic. A seal stands there for the reference that the secret came from, so that the URL takes
// the value of the day when it is asked for.
type sealer struct{ secrets []sealed }

type sealed struct {
	seal, value string
	path        string // value as segments of a path; empty: it is a part of one
}

// sealBegins is how each seal begins.
const sealBegins = "mr-secret-"

var seals = regexp.MustCompile(sealBegins + `[0-9a-f]{16}`)

func newSealer(references []pipeline.Reference) sealer {
	var s sealer
	for _, r := range references {
		if value := r.Value.Reveal(); r.Name != "" && value != "" {
			x := sealed{seal: fmt.Sprintf(sealBegins+"%016x", xxh3.HashString(r.Name)), value: value}
			if len(value) >= redact.Whole && strings.Contains(value, "/") {
				x.path = (&url.URL{Path: value}).EscapedPath()
			}
			s.secrets = append(s.secrets, x)
		}
	}
	slices.SortStableFunc(s.secrets, func(a, b sealed) int { return len(b.value) - len(a.value) })
	return s
}

// seal returns u with seals for secrets, or u itself if it has none.
func (s sealer) seal(u *url.URL) *url.URL {
	if len(s.secrets) == 0 {
		return u
	}
	in := func(path string) string {
		for _, x := range s.secrets {
			if x.path != "" {
				path = strings.ReplaceAll(path, x.path, x.seal)
			}
		}
		return path
	}
	return mapURL(u, in, func(text string) string {
		for _, x := range s.secrets {
			if len(x.value) >= redact.Whole {
				text = strings.ReplaceAll(text, x.value, x.seal)
			} else if text == x.value {
				text = x.seal
			}
		}
		return text
	})
}

// name writes seals for secrets in any text. Short ones stay: they may stand for something else, too.
func (s sealer) name(text string) string {
	for _, x := range s.secrets {
		if len(x.value) >= redact.Whole {
			text = strings.ReplaceAll(text, x.value, x.seal)
			text = strings.ReplaceAll(text, url.QueryEscape(x.value), x.seal)
			text = strings.ReplaceAll(text, url.PathEscape(x.value), x.seal)
		}
	}
	return text
}

// open is the inverse of seal.
func (s sealer) open(u *url.URL) (*url.URL, error) {
	opened := s.opened(u)
	if seals.MatchString(opened.String()) {
		return nil, errors.New("the next page's URL needs a reference that is no longer in the pipeline file")
	}
	return opened, nil
}

// opened is u with secrets for their seals, or u itself if it has none.
func (s sealer) opened(u *url.URL) *url.URL {
	if len(s.secrets) == 0 || !maySeal(u.EscapedPath()) && !maySeal(u.RawQuery) {
		return u
	}
	in := func(path string) string {
		for _, x := range s.secrets {
			if x.path != "" {
				path = strings.ReplaceAll(path, x.seal, x.path)
			}
		}
		return path
	}
	return mapURL(u, in, func(text string) string {
		for _, x := range s.secrets {
			text = strings.ReplaceAll(text, x.seal, x.value)
		}
		return text
	})
}

// maySeal reports whether a text may hold a seal. One that an API gives back may be spelled with escapes.
func maySeal(text string) bool {
	return strings.Contains(text, sealBegins) || strings.Contains(text, "%")
}

// mapURL applies whole to u's path as it is spelled, and f to each segment of it and each value of its query,
// unescaped. What they leave as it is stays as it is spelled.
func mapURL(u *url.URL, whole, f func(string) string) *url.URL {
	path := strings.Split(whole(u.EscapedPath()), "/")
	changed := mapAll(path, f, url.PathUnescape, url.PathEscape)
	changed = changed || strings.Join(path, "/") != u.EscapedPath()
	pairs := strings.Split(u.RawQuery, "&")
	names, values := make([]string, len(pairs)), make([]string, len(pairs))
	for i, pair := range pairs {
		names[i], values[i], _ = strings.Cut(pair, "=")
	}
	inQuery := mapAll(values, f, url.QueryUnescape, url.QueryEscape)
	if !changed && !inQuery {
		return u
	}
	c := *u
	if changed {
		c.RawPath = strings.Join(path, "/")
		c.Path, _ = url.PathUnescape(c.RawPath)
	}
	if inQuery {
		for i := range pairs {
			if values[i] != "" {
				pairs[i] = names[i] + "=" + values[i]
			}
		}
		c.RawQuery = strings.Join(pairs, "&")
	}
	return &c
}

// mapAll applies f to what texts say, and reports whether that changed one.
func mapAll(texts []string, f func(string) string, unescape func(string) (string, error), escape func(string) string) bool {
	changed := false
	for i, text := range texts {
		plain, err := unescape(text)
		if err != nil {
			continue
		}
		if mapped := f(plain); mapped != plain {
			texts[i], changed = escape(mapped), true
		}
	}
	return changed
}
