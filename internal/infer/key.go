package infer

import (
	"slices"
	"strings"
)

// Key is what tells records apart, as it is proposed.
type Key struct {
	Paths [][]string
	Guess string // why it is only a guess; empty: it is unique, always there, and named like a key
}

// keyNames are names of keys, best first, as plain has them.
var keyNames = []string{"id", "uuid", "guid", "sid", "key", "gid", "uid", "pk", "objectid", "code", "slug", "symbol", "hash", "sha", "number", "ts", "identifier", "name"}

// Key proposes the key of the records of a resource, such as orders.
func (s *Sample) Key(resource string) Key {
	one := strings.TrimSuffix(plain(resource), "s")
	pair := s.pair(one)
	if best := s.bestKey(one); best != nil {
		k := Key{Paths: [][]string{best.Path}, Guess: s.keyDoubt(best, one)}
		if k.Guess != "" && keyRank(best, one)%100 >= 60 && pair != nil {
			return Key{pair, "no single field is named like a key; these two together are different in each record of the sample"}
		}
		return k
	}
	if pair != nil {
		return Key{pair, "no single field is different in each record of the sample; these two together are"}
	}
	for _, f := range s.Fields { // better a wrong key that is marked than none
		if f.Single() && f.Full() && len(f.Path) == 1 {
			return Key{[][]string{f.Path}, "nothing in the sample tells records apart"}
		}
	}
	return Key{Guess: "nothing in the sample tells records apart"}
}

// bestKey is the field of those that tell the records apart that is named most like a key; nil: no field tells them
// apart. one is the name of what a record is, as plain has it.
func (s *Sample) bestKey(one string) (best *Field) {
	for _, f := range s.Fields {
		if !f.Full() || !f.Unique() || !f.Single() || f.Empty > 0 || f.longest > 250 || len(f.Path) > 2 {
			continue
		}
		if best == nil || keyRank(f, one) < keyRank(best, one) {
			best = f
		}
	}
	return best
}

// keyRank says how little a field is named like the key of records that are called one: 0 is best; a hundred more is a
// level deeper in the record.
func keyRank(f *Field, one string) int {
	name := plain(f.Name())
	depth := 100 * (len(f.Path) - 1)
	if len(f.Path) == 2 && slices.Contains(wrappers, f.Path[0]) {
		depth = 10
	}
	for i, known := range keyNames {
		if name == known {
			return depth + 2*i
		}
	}
	switch {
	case one != "" && (name == one+"id" || name == one+"key" || name == one+"number" || name == one+"uuid" || name == one+"code"):
		return depth + 1
	case strings.HasSuffix(name, "id"):
		return depth + 40
	}
	return depth + 60
}

// keyDoubt is why a field is only a guess at the key; empty: it is none.
func (s *Sample) keyDoubt(f *Field, one string) string {
	r := keyRank(f, one) % 100
	switch {
	case len(s.Records) < 3:
		return "the sample has too few records to tell"
	case r >= 40 && len(f.Path) == 1 || r >= 60:
		return "it has another value in each record of the sample, but is not named like a key"
	case r > 8 && r < 40 && slices.Contains([]string{"name", "number", "code", "ts"}, plain(f.Name())):
		return "it has another value in each record of the sample"
	}
	return ""
}

// pair are two fields that tell records apart together: names, days and codes before others.
// one is the name of what a record is, as plain has it.
func (s *Sample) pair(one string) [][]string {
	var some []*Field
	for _, f := range s.Fields {
		if f.Full() && f.Single() && len(f.Path) <= 2 && f.Empty == 0 && f.longest <= 100 {
			some = append(some, f)
		}
	}
	weight := func(f *Field) int {
		name := plain(f.Name())
		switch {
		case strings.HasSuffix(name, "id") || slices.Contains(keyNames, name) || name == one:
			return 0
		case f.commonForm() == day || f.commonForm() == moment:
			return 1
		case f.Texts > 0 || timeName.MatchString(name):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(some, func(a, b *Field) int { return weight(a) - weight(b) })
	some = some[:min(len(some), 12)]
	for j := range some {
		for i := range j {
			if s.distinct(some[i].Path, some[j].Path) {
				return [][]string{some[i].Path, some[j].Path}
			}
		}
	}
	return nil
}

// distinct reports whether no two records have the same values at both paths.
func (s *Sample) distinct(paths ...[]string) bool {
	seen := map[string]bool{}
	for _, r := range s.Records {
		var key strings.Builder
		for _, p := range paths {
			key.Write(Value(r, p))
			key.WriteString(separator)
		}
		if seen[key.String()] {
			return false
		}
		seen[key.String()] = true
	}
	return len(seen) > 1
}
