//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shapes is what a source has whose streams are reached in other ways than by a path and its pages. All requests need a
// token of [tokens].
//
//	parents   keyset over ids, everything in each pass; records are deleted, and their children with them
//	children  a request for each parent; whatever happens to a child is a change of its parent
//	windows   a past of an hour in windows, and what is new beside; a query shows a limited number of records, and no
//	          more
//	paged     pages by number up to a total, six at once, everything in each pass; records are deleted
//	hooks     signed deliveries, each sent until it is answered with 2xx, now and then once more; see [sender]
type shapes struct {
	tokens *tokens
	sender *sender
	start  time.Time // of the past
	size   shapesSize

	removals map[revision]bool // deletions that are delivered: each is a revision
}

// shapesSize is how much there is of it.
type shapesSize struct {
	parents int // at most
	past    int // records of windows that are there from the start, half of them in five minutes
	shown   int // records of windows, by a query
}

func newShapes(t testing.TB, seed uint64, size shapesSize) *source {
	s := newSourceOf(t, seed, []string{"parents", "children", "windows", "paged", "hooks"})
	s.mix = []string{"parents", "children", "windows", "children", "paged", "children", "hooks", "children", "windows", "hooks"}
	s.shapes = &shapes{size: size, tokens: newTokens(), start: time.Now().Add(-time.Hour).Truncate(time.Second), removals: map[revision]bool{}}
	s.shapes.sender = newSender(t, rand.New(rand.NewPCG(seed, 5)))
	s.file = s.shapesFile
	for i := range size.past {
		at := time.Duration(s.dice.Int64N(int64(50 * time.Minute)))
		if i%2 == 0 {
			at = 20*time.Minute + time.Duration(s.dice.Int64N(int64(5*time.Minute)))
		}
		s.streams["windows"].put(fmt.Sprintf("h%05d", i), s.shapes.start.Add(at).UnixMilli())
	}
	return s
}

// change makes a change of a stream that has its own kind of them; done is false if it has not.
func (h *shapes) change(s *source, stream string) (done bool) {
	switch stream {
	case "parents":
		s.changeParent()
	case "children":
		s.changeChild()
	case "hooks":
		s.changeDelivered()
	default:
		return false
	}
	return true
}

// pick is one of the keys.
func (s *source) pick(keys []string) string { return keys[s.dice.IntN(len(keys))] }

func (c *content) goneKeys() (keys []string) {
	for key := range c.gone {
		if _, there := c.newest[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// changeParent makes, revises, deletes or creates again a record of parents.
func (s *source) changeParent() {
	parents, children := s.streams["parents"], s.streams["children"]
	key := fmt.Sprintf("p%04d%s", (len(parents.ids)+len(parents.gone))/2, [2]string{"a", "A"}[(len(parents.ids)+len(parents.gone))%2])
	gone := parents.goneKeys()
	switch fate := s.dice.IntN(20); {
	case len(parents.ids) < 10:
	case fate == 0:
		key = s.pick(parents.ids)
		parents.remove(key)
		for _, child := range children.of(key) {
			children.remove(child)
		}
		return
	case fate == 1 && len(gone) > 0:
		key = s.pick(gone)
	case fate < 10 || len(parents.ids) >= s.shapes.size.parents:
		key = s.pick(parents.ids)
	}
	parents.put(key, nextRev())
}

// of are the children of a parent, in the order of ids.
func (c *content) of(parent string) []string {
	from, _ := slices.BinarySearch(c.ids, parent+"/")
	to, _ := slices.BinarySearch(c.ids, parent+"0") // '0' follows '/'
	return slices.Clone(c.ids[from:to])
}

// changeChild makes, revises, deletes or creates again a child of a parent that is there, and changes that one too.
func (s *source) changeChild() {
	parents, children := s.streams["parents"], s.streams["children"]
	if len(parents.ids) == 0 {
		return
	}
	parent := s.pick(parents.ids)
	there := children.of(parent)
	key := fmt.Sprintf("%s/%04d", parent, s.dice.IntN(40)) // new, or there, or deleted before
	if len(there) > 3 && s.dice.IntN(6) == 0 {
		children.remove(s.pick(there))
	} else {
		children.put(key, nextRev())
	}
	parents.put(parent, nextRev())
}

// changeDelivered changes a record of hooks and sends a delivery of it. A deletion is a revision, too.
func (s *source) changeDelivered() {
	c := s.streams["hooks"]
	key := fmt.Sprintf("w%04d", s.dice.IntN(400))
	rev := nextRev()
	_, there := c.newest[key]
	if there && s.dice.IntN(8) == 0 {
		c.remove(key)
		c.gone[key] = rev
		s.shapes.removals[revision{c.name, key, rev}] = true
		s.shapes.sender.send(delivered{kind: "deleted", revision: revision{c.name, key, rev}})
		return
	}
	c.put(key, rev)
	s.shapes.sender.send(delivered{kind: "changed", revision: revision{c.name, key, rev}})
}

// answer is a page; nil: there is nothing of that name.
func (h *shapes) answer(s *source, stream string, r *http.Request) []byte {
	number := func(name string) int64 { n, _ := strconv.ParseInt(r.FormValue(name), 10, 64); return n }
	c := s.streams[stream]
	switch stream {
	case "parents":
		return c.keyset(-1<<62, "", r.FormValue("after"), int(number("limit")))
	case "children":
		if _, there := s.streams["parents"].newest[r.FormValue("parent")]; !there {
			return nil
		}
		return c.children(r.FormValue("parent"), r.FormValue("after"), int(number("limit")))
	case "windows":
		return c.window(number("since"), r.FormValue("until"), r.FormValue("after"), int(number("limit")), h.size.shown)
	case "paged":
		page := envelope(c.page(0, "", int(number("page")-1)*int(number("size")), int(number("size"))), nil)
		return slices.Concat([]byte(fmt.Sprintf(`{"total": %d,`, len(c.ids))), page[1:])
	}
	return nil
}

// children is a page of the children of a parent.
func (c *content) children(parent, after string, limit int) []byte {
	var out []revision
	for _, id := range c.of(parent) {
		if id > after && len(out) < limit {
			out = append(out, revision{c.name, id, c.newest[id]})
		}
	}
	return envelope(out, nil)
}

// window is a page of what changed in a time, in the order of ids. cursor is how many were shown before, and the last
// of them; most are shown of all.
func (c *content) window(since int64, until, cursor string, limit, most int) []byte {
	text, after, _ := strings.Cut(cursor, ":")
	shown, _ := strconv.Atoi(text)
	end := int64(1 << 62)
	if n, err := strconv.ParseInt(until, 10, 64); err == nil {
		end = n
	}
	from, found := slices.BinarySearch(c.ids, after)
	if found {
		from++
	}
	var out []revision
	for _, id := range c.ids[from:] {
		rev := c.newest[id]
		if rev < since || rev > end || shown+len(out) == most {
			continue
		}
		if len(out) == limit {
			next := fmt.Sprintf("%d:%s", shown+limit, out[limit-1].key)
			return envelope(out, &next)
		}
		out = append(out, revision{c.name, id, rev})
	}
	return envelope(out, nil)
}

// body is the delivery as it is sent.
func (d delivered) body() []byte {
	kind, _ := json.Marshal(d.kind)
	return fmt.Appendf(nil, `{"type": %s, "record": %s}`, kind, d.json())
}

// shapesFile is the pipeline over this source.
func (s *source) shapesFile(name string, brokers []string, dsn string) string {
	return fmt.Sprintf(`
pipeline: %s
kafka: {brokers: ["%s"], partitions: 6}
database: {mysql: "%s"}
webhooks: {listen: "${E2E_HOOKS}"}
http:
  base_url: "%s"
  timeout: 5s
  retry: {initial: 20ms, max: 500ms, attempts: 10}
  auth: {oauth2: {token_url: "%s/token", client_id: e2e, refresh_token: "${E2E_REFRESH_TOKEN}", key: "${E2E_TOKEN_KEY}"}}
defaults: {ingest: {key: id, every: 1s}}
streams:
  parents:
    ingest:
      path: /parents
      records: data
      paginate: {keyset: {field: id, param: after, size_param: limit, size: 25, stop: short}}
      deletes: {by: complete_read, at_most: 100%%}`+processAndSink+`
  children:
    ingest:
      for_each: parents
      on_parent_delete: delete
      path: /children
      every: 0s
      query: {parent: "{parents.id}"}
      records: data
      disjoint: true
      paginate: {keyset: {field: id, param: after, size_param: limit, size: 10, stop: short}}
      deletes: {by: complete_read, at_most: 100%%}`+processAndSink+`
  windows:
    ingest:
      path: /windows
      records: data
      query: {limit: 100}
      paginate: {cursor: {next: meta.next, param: after}}
      incremental:
        {field: rev, param: since, format: unix_ms, start: "%d", lookback: 1s, window: {step: 5m, param: until, at_once: 6, max_results: %d}}`+processAndSink+`
  paged:
    ingest:
      path: /paged
      records: data
      paginate: {page: {param: page, start: 1, size_param: size, size: 40, stop: {total: total}}}
      version: {field: rev, as: time}
      concurrency: 6
      deletes: {by: complete_read, at_most: 100%%}`+processAndSink+`
  hooks:
    ingest:
      webhook: {path: /hooks, verify: {github: "%s"}, types: [changed], deletes: [deleted]}
      records: {object: record}
      version: {field: rev, as: time}`+processAndSink+`
`, name, brokers[0], dsn, s.server.URL, s.server.URL, "parents", "children", s.shapes.start.UnixMilli(), s.shapes.size.shown, "windows", "paged", hookSecret, "hooks")
}
