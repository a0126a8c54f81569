package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// local serves an API of this process, and returns its base URL.
func local(handler http.HandlerFunc) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

// made makes a pipeline of that text and its topics.
func (b *bench) made(ctx context.Context, name, api, streams string) (*pipeline.Pipeline, string, error) {
	b.serial++
	text := fmt.Sprintf("pipeline: %s-%d-%d\nkafka: {brokers: [%q], partitions: 6}\ndatabase: {mysql: %q}\nhttp: {base_url: %q, timeout: 10m}\nstreams:\n%s",
		name, os.Getpid(), b.serial, b.kafka, b.mysql, api, streams)
	path := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	p, err := file.Parse(path, []byte(text), os.LookupEnv)
	if err == nil {
		err = admin.Ensure(ctx, b.adm, topics.Specs(p))
	}
	return p, path, err
}

// page shows what a page of a GiB costs: an answer of records of a KiB, with nothing but its one key.
func (b *bench) page(ctx context.Context) error {
	const records, size = 1 << 20, 1 << 10
	api, stop, err := local(func(w http.ResponseWriter, _ *http.Request) {
		padding := strings.Repeat("x", size-32)
		_, _ = w.Write([]byte("["))
		line := make([]byte, 0, 2*size)
		for i := range records {
			line = append(line[:0], `{"id":`...)
			line = append(strconv.AppendInt(line, int64(i), 10), `,"text":"`...)
			line = append(append(line, padding...), `"},`...)
			if i == records-1 {
				line = line[:len(line)-1]
			}
			_, _ = w.Write(line)
		}
		_, _ = w.Write([]byte("]"))
	})
	if err != nil {
		return err
	}
	defer stop()
	p, path, err := b.made(ctx, "page", api, "  big:\n    ingest: {path: /big, key: id}\n    sink: {columns: {id: bigint key}}\n")
	if err != nil {
		return err
	}
	defer b.forget(context.WithoutCancel(ctx), p)
	began := time.Now()
	s, err := b.measured(ctx, nil, "ingest", path, records, records, written(b.adm, topics.Raw(p.Name, "big")))
	if err != nil {
		return err
	}
	fmt.Printf("\na page of 1 GiB, %d records: %.0f s, %.0f MiB at most (aim: at most 128 MiB)\n", records, time.Since(began).Seconds(), s.PeakMiB)
	return nil
}

// quota is an API that allows so many requests in each window of time and says so in its answers.
type quota struct {
	mu      sync.Mutex
	began   time.Time // of the window
	used    int
	windows []int // requests that were answered in each window that has ended
	refused int
}

const (
	quotaRequests = 300
	quotaPer      = 10 * time.Second
	quotaWindows  = 5 // that are measured, after the first two
)

func (q *quota) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	now := time.Now()
	for ; now.Sub(q.began) >= quotaPer; q.began = q.began.Add(quotaPer) {
		q.windows, q.used = append(q.windows, q.used), 0
	}
	allowed := q.used < quotaRequests
	if allowed {
		q.used++
	} else {
		q.refused++
	}
	left, reset := quotaRequests-q.used, q.began.Add(quotaPer).Sub(now)
	q.mu.Unlock()
	seconds := int((reset + time.Second - 1) / time.Second)
	w.Header().Set("Ratelimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, quotaRequests, int(quotaPer.Seconds())))
	w.Header().Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, seconds))
	w.Header().Set("Content-Type", "application/json")
	if !allowed {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	page, _ := strconv.Atoi(r.FormValue("page"))
	_, _ = fmt.Fprintf(w, `{"total": 1000000, "data": [{"id": "%s-%d"}]}`, r.FormValue("region"), page)
}

// budget shows how much of an API's quota three processes use together, and how often they are turned away.
func (b *bench) budget(ctx context.Context) error {
	q := &quota{began: time.Now()}
	api, stop, err := local(q.ServeHTTP)
	if err != nil {
		return err
	}
	defer stop()
	p, path, err := b.made(ctx, "budget", api, budgetStream())
	if err != nil {
		return err
	}
	defer b.forget(context.WithoutCancel(ctx), p)
	for range 3 {
		child, err := b.stage(nil, "ingest", path)
		if err != nil {
			return err
		}
		defer func() { _, _ = child.stop() }()
	}
	var from, turned int
	err = b.until(ctx, func() (bool, error) {
		q.mu.Lock()
		defer q.mu.Unlock()
		// all have come, and know the quota, two windows later
		if from == 0 && len(q.windows) > 0 && q.windows[len(q.windows)-1] > 0 {
			from = len(q.windows) + 2
		}
		if from > 0 && len(q.windows) == from && turned == 0 {
			turned = q.refused + 1
		}
		return from > 0 && len(q.windows) >= from+quotaWindows, nil
	})
	if err == nil {
		q.report(from, turned-1)
	}
	return err
}

// budgetStream is a stream of as many slices as keep three processes busy.
func budgetStream() string {
	var regions []string
	for i := range 24 {
		regions = append(regions, fmt.Sprintf("r%d", i))
	}
	return fmt.Sprintf(`  s:
    ingest:
      path: /s
      query: {region: "{region}"}
      slices: {region: [%s]}
      disjoint: true
      records: data
      key: id
      paginate: {page: {param: page, size: 1, stop: {total: total}}}
    sink: {columns: {id: varchar(40) key}}
`, strings.Join(regions, ", "))
}

// report prints how much of the quota was used in the windows from one on, before which so many requests were refused.
func (q *quota) report(from, early int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	used := 0
	for _, n := range q.windows[from : from+quotaWindows] {
		used += n
	}
	fmt.Printf("\na quota of %d requests in %v, three processes: %.1f %% used, %d requests turned away, %d while they started (aim: at least 98 %%, none); by window %v\n",
		quotaRequests, quotaPer, 100*float64(used)/(quotaRequests*quotaWindows), q.refused-early, early, q.windows)
}

// kids is an API of many records and a request for each.
type kids struct {
	revision, asked atomic.Int64
	parents         atomic.Int64
}

const manyKids = 10_000

func (k *kids) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	rev := k.revision.Load()
	if id, found := strings.CutPrefix(r.URL.Path, "/child/"); found {
		k.asked.Add(1)
		_, _ = fmt.Fprintf(w, `[{"id": %s, "rev": %d}]`, id, rev)
		return
	}
	k.parents.Add(1)
	body := make([]byte, 0, 40*manyKids)
	body = append(body, '[')
	for i := range manyKids {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"id": %d, "rev": %d}`, i, rev)
	}
	_, _ = w.Write(append(body, ']'))
}

// slices shows what 10,000 slices take: to be fetched first, to start again when nothing is to be done, and to be taken
// over from a process that is killed amid the work on all of them.
func (b *bench) slices(ctx context.Context) error {
	k := &kids{}
	api, stop, err := local(k.ServeHTTP)
	if err != nil {
		return err
	}
	defer stop()
	p, path, err := b.made(ctx, "slices", api, `  parents:
    ingest: {path: /parents, key: id, every: 1s}
    sink: {columns: {id: bigint key}}
  children:
    ingest: {for_each: parents, path: "/child/{parents.id}", key: id, disjoint: true}
    sink: {columns: {id: bigint key}}
`)
	if err != nil {
		return err
	}
	defer b.forget(context.WithoutCancel(ctx), p)
	m := manySlices{b: b, kids: k, path: path, raw: written(b.adm, topics.Raw(p.Name, "children"))}
	fmt.Printf("\n%d slices of a child stream\n", manyKids)
	if err := m.start(ctx); err != nil {
		return err
	}
	return m.takeOver(ctx)
}

// manySlices measures the slices of a child stream.
type manySlices struct {
	b    *bench
	kids *kids
	path string // of the pipeline file
	raw  func(context.Context) (int64, error)
}

// fetched is a condition: every slice was fetched n times.
func (m *manySlices) fetched(ctx context.Context, n int64) func() (bool, error) {
	return func() (bool, error) {
		at, err := m.raw(ctx)
		return at >= n*manyKids, err
	}
}

func (m *manySlices) tell(what string, since time.Time) {
	fmt.Printf("  %-62s %7.1f s\n", what, time.Since(since).Seconds())
}

// start measures the first fetch, by a process of its own.
func (m *manySlices) start(ctx context.Context) error {
	began := time.Now()
	one, err := m.b.stage(nil, "ingest", m.path)
	if err != nil {
		return err
	}
	defer func() { _ = one.cmd.Process.Kill() }()
	if err := m.b.until(ctx, m.fetched(ctx, 1)); err != nil {
		return err
	}
	m.tell("start until all are fetched for the first time", began)
	_, err = one.stop()
	return err
}

// takeOver measures a restart, and how another process continues after a kill.
func (m *manySlices) takeOver(ctx context.Context) error {
	k := m.kids
	before := k.parents.Load()
	began := time.Now()
	one, err := m.b.stage(nil, "ingest", m.path)
	if err != nil {
		return err
	}
	defer func() { _ = one.cmd.Process.Kill() }()
	if err := m.b.until(ctx, func() (bool, error) { return k.parents.Load() > before, nil }); err != nil {
		return err
	}
	m.tell("start of another process until its first request", began)
	k.revision.Add(1)
	if err := m.b.until(ctx, func() (bool, error) { return k.asked.Load() > manyKids+500, nil }); err != nil {
		return err
	}
	two, err := m.b.stage(nil, "ingest", m.path)
	if err != nil {
		return err
	}
	defer func() { _, _ = two.stop() }()
	began = time.Now()
	_ = one.cmd.Process.Signal(syscall.SIGKILL)
	_, _ = one.wait()
	asked := k.asked.Load()
	if err := m.b.until(ctx, func() (bool, error) { return k.asked.Load() > asked, nil }); err != nil {
		return errors.Join(err, errors.New(two.tail()))
	}
	m.tell("SIGKILL during the second fetch until another continues with it", began)
	if err := m.b.until(ctx, m.fetched(ctx, 2)); err != nil {
		return err
	}
	m.tell("SIGKILL until it has fetched all", began)
	return nil
}
