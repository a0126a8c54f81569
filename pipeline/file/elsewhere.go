package file

import (
	"strings"
	"sync"
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
