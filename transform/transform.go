package transform

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
)

// Func makes of a record another. record is a JSON object, in the API's own bytes unless a transform before it has
// changed them; it must not be changed nor kept. The result is a JSON object, too, and is the caller's. Members that
// the raw key is made of (ingest.key) must stay as they are: a result with others is refused.
//
// nil, without an error, is a record that has no row: the row that an older revision made is removed. An error says why
// the record can never be processed; it goes to the dead-letter topic with that text, and so does one that makes the
// function panic. Many goroutines call it at the same time.
type Func func(record []byte) ([]byte, error)

var (
	mu         sync.RWMutex
	registered = map[string]Func{}

	names    = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	versions = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// Register makes a transform known to pipeline files, as name@version. name is of small letters, digits, _ and -;
// version of letters, digits, dots, _ and -. It panics if one of them is something else, or if that version of the
// transform is there already. It is called before millrace.Main, from main or from an init.
func Register(name, version string, f Func) {
	if !names.MatchString(name) || !versions.MatchString(version) || f == nil {
		panic(fmt.Sprintf("transform.Register(%q, %q): want a name such as distance, a version such as 1, and a function", name, version))
	}
	mu.Lock()
	defer mu.Unlock()
	use := name + "@" + version
	if registered[use] != nil {
		panic("transform.Register: " + use + " is there already")
	}
	registered[use] = f
}

// Lookup returns the transform that a pipeline file names; nil: this binary has none of that name and version. It may
// be called concurrently.
func Lookup(name, version string) Func {
	mu.RLock()
	defer mu.RUnlock()
	return registered[name+"@"+version]
}

// Registered lists the transforms of this binary as name@version, in order. It may be called concurrently.
func Registered() []string {
	mu.RLock()
	defer mu.RUnlock()
	return slices.Sorted(maps.Keys(registered))
}

// Fields is a transform that is given the members of a record by name, each as the API wrote it, and sets, changes or
// deletes some. A record for which keep is false has no row. The result has its members in the order of their names;
// numbers keep their digits.
func Fields(f func(members map[string]json.RawMessage) (keep bool, err error)) Func {
	return func(record []byte) ([]byte, error) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(record, &members); err != nil {
			return nil, err
		}
		keep, err := f(members)
		if err != nil || !keep {
			return nil, err
		}
		return json.Marshal(members)
	}
}
