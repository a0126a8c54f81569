package tool

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// exchange is an API whose orders change, go and come back. Totals only ever rise, so that they tell the order of
// revisions.
type exchange struct {
	*httptest.Server

	mu     sync.Mutex
	last   int
	totals map[int]int // by id; negative: it is gone
}

const (
	exchangeOrders = 60
	refusedOrder   = 7 // by a step
)

func newExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{totals: map[int]int{}}
	for id := range exchangeOrders {
		x.change(id, false)
	}
	x.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		x.mu.Lock()
		defer x.mu.Unlock()
		var list []string
		for id, total := range x.totals {
			list = append(list, fmt.Sprintf(`{"id": %d, "total": %d, "gone": %t}`, id, max(total, -total), total < 0))
		}
		_, _ = fmt.Fprintf(out, "[%s]", strings.Join(list, ","))
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *exchange) change(id int, gone bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last++
	x.totals[id] = x.last
	if gone {
		x.totals[id] = -x.last
	}
}

// forget shows an order no more.
func (x *exchange) forget(id int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.totals, id)
}

// some changes some orders at random, but the one that is refused.
func (x *exchange) some() {
	for range 5 {
		if id := rand.IntN(exchangeOrders); id != refusedOrder {
			x.change(id, rand.IntN(3) == 0)
		}
	}
}

// trade changes orders until stop is called.
func (x *exchange) trade() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				x.some()
			}
		}
	}()
	return sync.OnceFunc(func() { close(ended); <-done })
}

// shows are the orders that are there.
func (x *exchange) shows() map[int]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := map[int]int{}
	for id, total := range x.totals {
		if total > 0 {
			out[id] = total
		}
	}
	return out
}

// growing is a pipeline whose topics are given more partitions.
type growing struct {
	t      *testing.T
	within time.Duration // how long it waits
	api    *exchange
	path   string
	name   string // of the pipeline
	opts   []kgo.Opt
	view   *control.View
	db     *sql.DB
	run    *child
}

func (g *growing) start() { g.run = launch(g.t, "millrace", "run", g.path, "--listen", "127.0.0.1:0") }

func (g *growing) kill(p *child) {
	g.t.Helper()
	p.send(g.t, syscall.SIGKILL)
	p.exit(g.t)
}

// traded waits until orders have changed.
func (g *growing) traded() {
	g.t.Helper()
	last := func() int {
		g.api.mu.Lock()
		defer g.api.mu.Unlock()
		return g.api.last
	}
	from := last()
	testkit.Eventually(g.t, g.within, testkit.That("some trade", func() bool { return last() > from+300 }))
}

// reached waits until the grow has come so far; "" is its end.
func (g *growing) reached(states ...control.GrowState) {
	g.t.Helper()
	testkit.Eventually(g.t, g.within, func() error {
		if _, err := g.view.Refresh(g.t.Context()); err != nil {
			return err
		}
		is := control.GrowState("")
		if grow := g.view.Stream("orders").Grow; grow != nil {
			is = grow.State
		}
		if slices.Contains(states, is) {
			return nil
		}
		return fmt.Errorf("it is %q, want one of %q", is, states)
	})
}

// awaitRows waits until the table has what the API shows; without is an order that it lacks.
func (g *growing) awaitRows(without int) {
	g.t.Helper()
	testkit.Eventually(g.t, g.within, func() error {
		rows, err := g.db.QueryContext(g.t.Context(), "SELECT id, total FROM orders")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		is := map[int]int{}
		for rows.Next() {
			var id, total int
			if err := rows.Scan(&id, &total); err != nil {
				return err
			}
			is[id] = total
		}
		want := g.api.shows()
		delete(want, without)
		if !maps.Equal(is, want) {
			return fmt.Errorf("the table has %v, the API %v", is, want)
		}
		return rows.Err()
	})
}

// check reads the raw topic: a key is in one partition, its own, and each of its revisions there once, in order.
func (g *growing) check(partitions int32) {
	g.t.Helper()
	last := map[string]int{}
	was := map[string]bool{}
	if err := admin.Read(g.t.Context(), g.opts, topics.Raw(g.name, "orders"), func(r *kgo.Record) {
		key := string(r.Key)
		if want := topics.Partition(r.Key, partitions); r.Partition != want {
			g.t.Errorf("key %s is in partition %d, want %d", key, r.Partition, want)
		}
		if header, moved := topics.Header(r, topics.HeaderWas); moved {
			if was[string(header)] {
				g.t.Errorf("key %s: what was at %s was written twice", key, header)
			}
			was[string(header)] = true
		}
		if r.Value == nil {
			return
		}
		var id, total int
		if _, err := fmt.Sscanf(strings.ReplaceAll(string(r.Value), `, "gone": false`, ""), `{"id": %d, "total": %d}`, &id, &total); err != nil {
			g.t.Fatalf("%s: %v", r.Value, err)
		}
		if total <= last[key] {
			g.t.Errorf("key %s: total %d after %d", key, total, last[key])
		}
		last[key] = total
	}); err != nil {
		g.t.Fatal(err)
	}
	if len(was) < exchangeOrders {
		g.t.Errorf("only %d records were written again", len(was))
	}
	if len(last) != exchangeOrders {
		g.t.Errorf("the raw topic has %d keys, want %d", len(last), exchangeOrders)
	}
}

// say runs a command, which must exit so and say so.
func (g *growing) say(wantCode int, want string, args ...string) {
	g.t.Helper()
	if code, stdout, stderr := invoke(g.t, "millrace", args...); code != wantCode || !strings.Contains(stdout+stderr, want) {
		g.t.Fatalf("%v: %d %s%s, want %d %q", args, code, stdout, stderr, wantCode, want)
	}
}

// TestGrow gives topics more partitions while the API changes all the time, and kills the command in each of its steps,
// and the process that runs the stages.
func TestGrow(t *testing.T) {
	t.Parallel()
	cluster := testkafka.New(t)
	path := pipelineFile(t, "http://API", fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", cluster.ListenAddrs()[0]))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "data", "millrace.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	growUnderKills(t, patience, path, "shop", db, []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)})
}

func growUnderKills(t *testing.T, within time.Duration, path, name string, db *sql.DB, opts []kgo.Opt) {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	g := &growing{t: t, within: within, api: newExchange(t), path: path, name: name, opts: opts, db: db}
	rewrite(t, path, "http://API", g.api.URL)
	rewrite(t, path, "every: 100ms}", "every: 100ms, deletes: {when: gone}}\n    process: [{map: {id: id, total: total + 0 / (id - 7)}}]")
	g.start()
	g.awaitRows(refusedOrder)
	g.view = control.NewView(control.Config{Pipeline: name, Client: opts})
	t.Cleanup(g.view.Close)
	g.say(cli.ExitError, "--yes answers", "topics", "grow", path, "--partitions", "5")
	g.say(cli.ExitError, "a topic never gets fewer", "topics", "grow", path, "--partitions", "2", "--yes")
	stop := g.api.trade()
	t.Cleanup(stop)
	grow := func() *child { return launch(t, "millrace", "topics", "grow", path, "--partitions", "5", "--yes") }

	g.traded()
	g.kill(g.run) // so that nothing drains
	command := grow()
	g.reached(control.GrowDraining)
	g.kill(command)
	g.say(cli.ExitError, "its topics are given 5 partitions", "replay", path, "orders", "--yes")
	g.say(cli.ExitError, "its topics are given 5 partitions", "topics", "grow", path, "--partitions", "6", "--yes")
	g.say(cli.ExitError, "its topics are given 5 partitions", "recover", path, "orders", "--kafka-lost", "--yes")
	g.start()
	for _, states := range [][]control.GrowState{
		{control.GrowMoving, control.GrowCutting, ""}, {control.GrowCutting, ""}, // each may be over before it is seen
	} {
		command = grow()
		g.reached(states...)
		_ = command.Process.Kill()
		command.exit(t)
	}
	if code, stdout, stderr := invoke(t, "millrace", "topics", "grow", path, "--partitions", "5", "--yes"); code != cli.ExitOK {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	testkit.Eventually(t, g.within, testkit.That("the process of before stands", func() bool {
		return strings.Count(g.run.stderr.String(), "start it with kafka.partitions: 5") >= 2 // ingest, processor
	}))
	g.traded()
	g.check(5)
	g.run.send(t, syscall.SIGTERM)
	g.run.exit(t)
	g.say(cli.ExitError, "kafka.partitions: 5", "run", path, "--listen", "")
	g.say(cli.ExitError, "set kafka.partitions: 5", "replay", path, "orders", "--yes")
	g.say(cli.ExitError, "set kafka.partitions: 5", "dlq", "retry", path, "orders", "--edit", "--yes")
	rewrite(t, path, "partitions: 3", "partitions: 5")
	g.start()
	g.afterwards(stop)
}

// afterwards: what comes later is in order, a replay and a retry find the records of before, and bring nothing back.
func (g *growing) afterwards(stop func()) {
	g.t.Helper()
	g.traded()
	stop()
	g.awaitRows(refusedOrder)
	g.check(5)
	rewrite(g.t, g.path, "total + 0 / (id - 7)", "total")
	g.say(cli.ExitOK, "1 of before the partitions grew, and stay open", "dlq", "retry", g.path, "orders", "--edit", "--dry-run")
	g.say(cli.ExitOK, "orders: 1 letter", "dlq", "retry", g.path, "orders", "--yes")
	g.awaitRows(-1)
	rewrite(g.t, g.path, "total: total}", "total: total * 1}")
	g.say(cli.ExitOK, "orders", "replay", g.path, "orders", "--yes")
	g.awaitRows(-1)
	g.say(cli.ExitOK, "have 5 partitions", "topics", "grow", g.path, "--yes")
	g.run.send(g.t, syscall.SIGTERM)
	g.run.exit(g.t)
}
