//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// source is an API with three streams that change while they are read, and that fails at random.
//
//	versioned   pages by number, in the order of ids, of what changed since ?since=; a version that orders revisions.
//	            Pages shift while they are read: the look-back makes up for it.
//	ordered     a cursor over (rev, id), so that what changes comes again later; no version: raw order decides
//	sliced      offset and limit, everything in each pass, three slices; no version
//	behind      a cursor over ids, pages of any size, what changed since ?since= by a clock that is five minutes
//	            behind; no look-back
//	ahead       the same by a clock that is five minutes ahead
//	vanishing   offset and limit, everything in each pass, two pages at once; records are deleted, and nothing tells of
//	            it; some are created again. A record that moves to the page before, and changes, comes twice, and its
//	            older revision may be committed last: a version orders them
//	keyed       the same by pages in the order of ids, one at a time; no version
//	moving      the same by our clock, in three slices; a change may move a record from one to another
type source struct {
	server *httptest.Server
	faults bool

	mu      sync.Mutex
	dice    *rand.Rand
	streams map[string]*content
	served  int

	names  []string                                               // of the streams
	mix    []string                                               // of ten changes, more or less, the streams
	file   func(name string, brokers []string, dsn string) string // the pipeline over this source
	shapes *shapes                                                // what TestKillShapes has beside
}

// content is a stream's records as they are now.
type content struct {
	name   string
	newest map[string]int64 // rev, by key
	gone   map[string]int64 // rev at the last deletion, by key
	ids    []string         // in the order of ids, for pages
	byRev  []revision       // every revision in order; the newest of a key is the one that counts
	held   map[string]bool  // what does not change any more
}

var streamNames = []string{"versioned", "ordered", "sliced", "behind", "ahead", "moving", "vanishing", "keyed"}

// vanishes reports whether records of a stream are deleted.
func vanishes(stream string) bool {
	return slices.Contains([]string{"vanishing", "keyed", "parents", "children", "paged", "hooks"}, stream)
}

// skews are how far the clocks of streams are from ours.
var skews = map[string]time.Duration{"behind": -5 * time.Minute, "ahead": 5 * time.Minute}

// hasVersion reports whether a stream's revisions are ordered by their version, and not as they were committed.
func hasVersion(stream string) bool {
	return !slices.Contains([]string{"ordered", "sliced", "keyed", "parents", "children"}, stream)
}

var regions = []string{"north", "south", "west"}

func newSource(t testing.TB, seed uint64) *source {
	s := newSourceOf(t, seed, streamNames)
	// Of ten changes three are in the stream that is cheapest to follow.
	s.mix = []string{"ordered", "versioned", "ordered", "sliced", "ordered", "behind", "ahead", "moving", "vanishing", "keyed"}
	s.file = s.paths
	return s
}

func newSourceOf(t testing.TB, seed uint64, names []string) *source {
	s := &source{faults: true, dice: rand.New(rand.NewPCG(seed, 1)), streams: map[string]*content{}, names: names}
	for _, name := range names {
		s.streams[name] = &content{name: name, newest: map[string]int64{}, gone: map[string]int64{}}
	}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// clock makes revs: Unix milliseconds that never repeat, so that a look-back in time means something.
var clock struct {
	sync.Mutex
	last int64
}

func nextRev() int64 {
	clock.Lock()
	defer clock.Unlock()
	clock.last = max(clock.last+1, time.Now().UnixMilli())
	return clock.last
}

// change makes a new record, or revises one of those that are there, about two of five times. Of streams that vanish it
// deletes one of eight times, and creates again what was deleted one of sixteen.
func (s *source) change(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shapes != nil && s.shapes.change(s, name) {
		return
	}
	c := s.streams[name]
	made := len(c.ids) + len(c.gone)
	key := fmt.Sprintf("k%05d%s", made/2, [2]string{"a", "A"}[made%2]) // pairs differ in case only
	if name == "sliced" {
		key = regions[len(c.ids)%3] + "-" + key
	}
	if len(c.ids) > 10 && s.dice.IntN(5) < 2 {
		key = c.ids[s.dice.IntN(len(c.ids))]
	}
	if vanishes(name) && len(c.ids) > 10 {
		switch fate := s.dice.IntN(16); {
		case fate < 2:
			at := s.dice.IntN(len(c.ids))
			if !c.held[c.ids[at]] {
				c.remove(c.ids[at])
			}
			return
		case fate == 2 && len(c.gone) > 0:
			key = slices.Sorted(maps.Keys(c.gone))[s.dice.IntN(len(c.gone))]
		}
	}
	if c.held[key] {
		return
	}
	c.put(key, nextRev()+skews[name].Milliseconds())
}

func (c *content) put(key string, rev int64) {
	if _, ok := c.newest[key]; !ok {
		at, _ := slices.BinarySearch(c.ids, key)
		c.ids = slices.Insert(c.ids, at, key)
	}
	c.newest[key] = rev
	c.byRev = append(c.byRev, revision{c.name, key, rev})
}

func (c *content) remove(key string) {
	c.gone[key] = c.newest[key]
	delete(c.newest, key)
	at, _ := slices.BinarySearch(c.ids, key)
	c.ids = slices.Delete(c.ids, at, at+1)
}

// newest returns the newest revision of every record.
func (s *source) newest(name string) map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int64, len(s.streams[name].newest))
	maps.Copy(out, s.streams[name].newest)
	return out
}

// deletedAt is the rev that a key had when it was deleted last; ok is false if it never was.
func (s *source) deletedAt(name, key string) (rev int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rev, ok = s.streams[name].gone[key]
	return rev, ok
}

func (s *source) setFaults(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = on
}

// ServeHTTP answers, or fails in one of the ways in which APIs fail.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(skews[strings.TrimPrefix(r.URL.Path, "/")]).UTC().Format(http.TimeFormat))
	if s.shapes != nil && s.shapes.token(w, r) {
		return
	}
	body := s.answer(strings.TrimPrefix(r.URL.Path, "/"), r)
	if body == nil {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.served++
	fault := 100
	if s.faults {
		fault = s.dice.IntN(100)
	}
	s.mu.Unlock()
	switch fault {
	case 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case 2: // the connection is cut in the middle
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	case 3: // complete by its length, but not JSON
		body = body[:len(body)*2/3]
	case 4:
		testkit.Pause(r.Context(), 300*time.Millisecond)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (s *source) answer(stream string, r *http.Request) []byte {
	number := func(name string) int64 { n, _ := strconv.ParseInt(r.FormValue(name), 10, 64); return n }
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[stream]
	switch stream {
	case "versioned":
		return envelope(c.page(number("since"), "", int(number("page")-1)*int(number("size")), int(number("size"))), nil)
	case "vanishing":
		return envelope(c.page(0, "", int(number("offset")), int(number("limit"))), nil)
	case "keyed":
		return c.keyset(-1<<62, "", r.FormValue("after"), int(number("limit")))
	case "sliced":
		return envelope(c.page(0, r.FormValue("region"), int(number("offset")), int(number("limit"))), nil)
	case "behind", "ahead", "moving":
		return c.keyset(number("since"), r.FormValue("region"), r.FormValue("after"), 1+s.dice.IntN(int(number("limit"))))
	case "ordered":
		return c.after(number("since"), r.FormValue("after"), int(number("limit")))
	default:
		return s.shapes.answer(s, stream, r)
	}
}

// page returns what changed since, in the order of ids.
func (c *content) page(since int64, region string, offset, limit int) []revision {
	var out []revision
	for _, id := range c.ids {
		if c.newest[id] < since || !strings.HasPrefix(id, region) {
			continue
		}
		if offset--; offset >= 0 {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, revision{c.name, id, c.newest[id]})
	}
	return out
}

// keyset returns what changed since, after an id in the order of ids. Of slices, it returns what is in one now.
func (c *content) keyset(since int64, region, after string, limit int) []byte {
	from, found := slices.BinarySearch(c.ids, after)
	if found {
		from++
	}
	var out []revision
	for _, id := range c.ids[from:] {
		r := revision{c.name, id, c.newest[id]}
		if r.rev <= since || region != "" && r.region() != region {
			continue
		}
		if len(out) == limit {
			return envelope(out, &out[limit-1].key)
		}
		out = append(out, r)
	}
	return envelope(out, nil)
}

// after returns what changed since, in the order of rev, after a cursor.
func (c *content) after(since int64, cursor string, limit int) []byte {
	if n, err := strconv.ParseInt(cursor, 10, 64); err == nil {
		since = n + 1
	}
	begin := sort.Search(len(c.byRev), func(i int) bool { return c.byRev[i].rev >= since })
	var out []revision
	for _, r := range c.byRev[begin:] {
		if c.newest[r.key] != r.rev {
			continue // revised since
		}
		if len(out) == limit {
			next := strconv.FormatInt(out[limit-1].rev, 10)
			return envelope(out, &next)
		}
		out = append(out, r)
	}
	return envelope(out, nil)
}

func envelope(records []revision, next *string) []byte {
	cursor, _ := json.Marshal(next)
	var b strings.Builder
	b.WriteString(`{"meta": {"next": ` + string(cursor) + `}, "data": [`)
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.json())
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// paths is the pipeline over the streams of [streamNames].
func (s *source) paths(name string, brokers []string, dsn string) string {
	return fmt.Sprintf(`
pipeline: %s
kafka: {brokers: ["%s"], partitions: 6}
database: {mysql: "%s"}
http: {base_url: "%s", timeout: 5s, retry: {initial: 20ms, max: 500ms, attempts: 10}}
defaults: {ingest: {key: id, every: 500ms}}
streams:
  versioned:
    ingest:
      path: /versioned
      records: data
      paginate: {page: {param: page, start: 1, size_param: size, size: 500, stop: empty}}
      incremental: {field: rev, param: since, lookback: 10m, format: unix_ms}
      every: 3s
      concurrency: 4`+processAndSink+`
  ordered:
    ingest:
      path: /ordered
      records: data
      query: {limit: 200}
      version: none
      paginate: {cursor: {next: meta.next, param: after}}
      incremental: {field: rev, param: since, format: integer}`+processAndSink+`
  sliced:
    ingest:
      path: /sliced
      records: data
      query: {region: "{region}"}
      slices: {region: [north, south, west]}
      disjoint: true
      paginate: {offset: {param: offset, limit_param: limit, limit: 500, stop: short}}
      every: 3s
      concurrency: 2`+processAndSink+`
  vanishing:
    ingest:
      path: /vanishing
      records: data
      paginate: {offset: {param: offset, limit_param: limit, limit: 200, stop: short}}
      version: {field: rev, as: time}
      deletes: {by: complete_read, at_most: 100%%}
      every: 1s
      concurrency: 2`+processAndSink+`
  keyed:
    ingest:
      path: /keyed
      records: data
      query: {limit: 200}
      paginate: {cursor: {next: meta.next, param: after}}
      deletes: {by: complete_read, at_most: 100%%, steady: true}
      every: 1s`+processAndSink+`
  behind:
    ingest:
      path: /behind
      records: data
      query: {limit: 300}
      paginate: {cursor: {next: meta.next, param: after}}
      incremental: {field: rev, param: since}`+processAndSink+`
  ahead:
    ingest:
      path: /ahead
      records: data
      query: {limit: 300}
      paginate: {cursor: {next: meta.next, param: after}}
      incremental: {field: rev, param: since}`+processAndSink+`
  moving:
    ingest:
      path: /moving
      records: data
      query: {region: "{region}", limit: 300}
      slices: {region: [north, south, west]}
      disjoint: false
      paginate: {cursor: {next: meta.next, param: after}}
      incremental: {field: rev, param: since}`+processAndSink+`
`, name, brokers[0], dsn, s.server.URL, "versioned", "ordered", "sliced", "vanishing", "keyed", "behind", "ahead", "moving")
}
