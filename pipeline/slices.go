package pipeline

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Lists are the lists that are crossed, in the order of the file; none if s is nil.
func (s *Slices) Lists() []SliceList {
	if s == nil {
		return nil
	}
	return append([]SliceList{{s.Name, s.Values}}, s.Crossed...)
}

// Combinations are those of the values of the lists: the first value changes last. It is one without values if s is
// nil.
func (s *Slices) Combinations() [][]string {
	all := [][]string{nil}
	for _, list := range s.Lists() {
		var longer [][]string
		for _, values := range all {
			for _, v := range list.Values {
				longer = append(longer, append(slices.Clip(values), v))
			}
		}
		all = longer
	}
	return all
}

// SliceName is the name of the slice of a combination of values: the value itself if it is one, a compact JSON array of
// several, and empty without any. No name has a NUL, which the state topic needs: one value with it is an array, too.
func SliceName(values ...string) string {
	switch {
	case len(values) == 0:
		return ""
	case len(values) == 1 && !strings.ContainsRune(values[0], 0):
		return values[0]
	}
	name := []byte{'['}
	for i, v := range values {
		if i > 0 {
			name = append(name, ',')
		}
		name, _ = jsontext.AppendQuote(name, v) // what is not UTF-8 is replaced
	}
	return string(append(name, ']'))
}

// SliceNames are the names of the slices that the file tells: one, named "", of a stream that is not cut. Those of a
// child are not known here: it has none.
func (i *Ingest) SliceNames() []string {
	if i.ForEach != nil {
		return nil
	}
	var names []string
	for _, values := range i.Slices.Combinations() {
		names = append(names, SliceName(values...))
	}
	return names
}

// SliceValues are what the lists stand for in the slice of that name, by name of the list.
func (i *Ingest) SliceValues(name string) map[string]string {
	lists := i.Slices.Lists()
	if len(lists) == 0 {
		return nil
	}
	values := []string{name}
	if n := len(lists); n > 1 || i.ForEach != nil {
		values = nil
		_ = json.Unmarshal([]byte(name), &values)
		if i.ForEach != nil && len(values) == n+1 {
			values = values[1:] // the first is the parent's key
		}
		if len(values) != n {
			return nil
		}
	}
	out := map[string]string{}
	for n, list := range lists {
		out[list.Name] = values[n]
	}
	return out
}

// SharesKeys reports whether several slices may write the same raw key.
func (i *Ingest) SharesKeys() bool {
	if slices.Contains(i.Key, SliceField) {
		return false
	}
	return i.Slices != nil && i.Slices.Shared || i.ForEach != nil && i.ForEach.Shared
}

// Ancestors are the streams that a stream is made from, its parent first; it ends where one is not there, or comes
// again.
func (p *Pipeline) Ancestors(s *Stream) []*Stream {
	var all []*Stream
	seen := map[*Stream]bool{s: true}
	for s != nil && s.Ingest.ForEach != nil {
		if s = p.Stream(s.Ingest.ForEach.Parent); s == nil || seen[s] {
			break
		}
		seen[s] = true
		all = append(all, s)
	}
	return all
}
