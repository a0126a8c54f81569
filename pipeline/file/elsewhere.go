package file

import (
	"strings"
	"sync"

	"github.com/agnivade/levenshtein"
)

// homes are the places of all keys, by their names: http.auth for bearer. Of several the one nearest to the top.
var homes = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, path := range Paths() {
		i := strings.LastIndexByte(path, '.')
		if i < 0 || strings.HasPrefix(path, "defaults.") || path[i+1:] == "NAME" {
			continue
		}
		name, home := path[i+1:], strings.TrimPrefix(path[:i], "streams.NAME.")
		if old, ok := out[name]; !ok || strings.Count(home, ".") < strings.Count(old, ".") {
			out[name] = home
		}
	}
	return out
})

// elsewhere says where a key of that name stands; empty: nowhere.
func elsewhere(name string) string {
	home := homes()[name]
	if home == "streams.NAME" {
		return "a stream"
	}
	return home
}

// suggest returns which known keys of the mapping at path an unknown one was probably meant to be, and a hint for it.
// Keys of that very name one level deeper are a better guess than one that differs in two letters: auth: {header: …} is
// api_key, not bearer.
func suggest(name, path string, known []string) (near []string, hint string) {
	guess := nearest(name, known)
	if children := beneath(name, path); len(children) > 0 && (guess == "" || levenshtein.ComputeDistance(name, guess) > 1) {
		above := strings.TrimPrefix(path+".", ".")
		return children, "it is a key of " + above + strings.Join(children, " and of "+above)
	}
	if place := elsewhere(name); guess == "" && place != "" {
		return nil, "it is a key of " + place
	}
	return []string{guess}, didYouMean(name, known, "known keys")
}

// beneath returns the keys of the mapping at path whose values are mappings with a key of that name.
func beneath(name, path string) (children []string) {
	keys := keysOf(path)
	if len(keys) > 1 && keys[0] == "streams" {
		keys[1] = "NAME"
	}
	above := strings.TrimPrefix(strings.Join(keys, ".")+".", ".")
	for _, p := range Paths() {
		rest, below := strings.CutPrefix(p, above)
		child, last, nested := strings.Cut(rest, ".")
		if below && nested && last == name && child != "NAME" {
			children = append(children, child)
		}
	}
	return children
}
