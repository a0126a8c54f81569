// Package embedded_test runs whole pipelines on the embedded servers: every kind of pagination, an API that fails,
// restarts and kills, and compares topics and tables with the truth.
package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
)

// childFile makes the test binary a process that runs that pipeline file until it is killed.
const childFile = "MILLRACE_TEST_PIPELINE"

func TestMain(m *testing.M) {
	path := os.Getenv(childFile)
	if path == "" {
		os.Exit(m.Run())
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	p, err := file.Load(path)
	if err == nil {
		var x *process.Process
		if x, err = process.New(context.Background(), p, options(log)); err == nil {
			err = x.Run(context.Background())
		}
	}
	log.Error("ended", "err", err)
	os.Exit(1)
}

const records = 600

func TestPipeline(t *testing.T) {
	a, url := newAPI(t, 1, records)
	a.fail(true)
	path := write(t, t.TempDir(), url)
	p, _ := run(t, path)
	awaitTruth(t, p, a)
	a.change(records)
	awaitTruth(t, p, a)
	check(t, p)
}

// TestRestarts stops and starts the pipeline while the API changes, on the same directory.
func TestRestarts(t *testing.T) {
	a, url := newAPI(t, 2, records)
	a.fail(true)
	path := write(t, t.TempDir(), url)
	for range 3 {
		stopChanging := changing(a)
		_, stop := run(t, path)
		awaitRequests(t, a, 60)
		stop()
		stopChanging()
	}
	a.fail(false)
	p, _ := run(t, path)
	awaitTruth(t, p, a)
	check(t, p)
}

// TestKills kills the process that runs the pipeline, at random moments that SEED gives.
func TestKills(t *testing.T) {
	seed := uint64(3)
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(seed, seed))
	a, url := newAPI(t, seed, records)
	a.fail(true)
	path := write(t, t.TempDir(), url)
	for range 8 {
		stopChanging := changing(a)
		kill(t, path, func() {
			awaitRequests(t, a, 20)
			testkit.Pause(t.Context(), time.Duration(random.IntN(1200))*time.Millisecond) // a kill comes at random
		})
		stopChanging()
	}
	a.fail(false)
	p, _ := run(t, path)
	awaitTruth(t, p, a)
	check(t, p)
}

// kill starts a process, and kills it when enough has returned.
func kill(t *testing.T, path string, enough func()) {
	t.Helper()
	var log bytes.Buffer
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	child.Stderr = &log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	enough()
	if err := child.Process.Kill(); err != nil {
		t.Errorf("it had ended by itself: %v", err)
	}
	_ = child.Wait()
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the process that was killed had logged:\n%s", log.String())
	}
}

// changing changes the API until stop is called.
func changing(a *api) (stop func()) {
	done := make(chan struct{})
	var changer sync.WaitGroup
	changer.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				a.change(1)
			}
		}
	})
	return func() {
		close(done)
		changer.Wait()
	}
}

// awaitRequests waits until the API has answered so many more requests.
func awaitRequests(t *testing.T, a *api, more int) {
	t.Helper()
	answered := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.fetched
	}
	from := answered()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if n := answered() - from; n < more {
			return fmt.Errorf("%d requests, want %d", n, more)
		}
		return nil
	})
}

// awaitTruth waits until every table is what the API says.
func awaitTruth(t *testing.T, p *pipeline.Pipeline, a *api) {
	t.Helper()
	for _, s := range streams {
		testkit.Eventually(t, 2*time.Minute, func() error {
			got, err := table(t.Context(), p, s.name)
			if err != nil {
				return err
			}
			return difference(s.name, got, a.rows())
		})
	}
}

// difference is nil if got is want.
func difference(stream string, got, want map[int64]row) error {
	var out []string
	for id, w := range want {
		if g, ok := got[id]; !ok {
			out = append(out, fmt.Sprintf("%d is missing", id))
		} else if g != w {
			out = append(out, fmt.Sprintf("%v, want %v", g, w))
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			out = append(out, fmt.Sprintf("%d should not be there", id))
		}
	}
	if len(out) == 0 {
		return nil
	}
	slices.Sort(out)
	return fmt.Errorf("%s: %d differences: %s", stream, len(out), strings.Join(out[:min(5, len(out))], "; "))
}

// check looks at the topics: a revision is in the raw topic once at most, in order for its key, and each raw record has
// one outcome.
func check(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	for _, s := range streams {
		raw := map[position]bool{}
		times := map[string]int{}
		newest := map[string]int64{}
		for _, r := range testkit.Records(t, p.Kafka.Brokers, topics.Raw(p.Name, s.name)) {
			raw[position{r.Partition, r.Offset}] = true
			var got record
			if err := json.Unmarshal(r.Value, &got); err != nil {
				t.Fatal(err)
			}
			times[fmt.Sprintf("%d revision %d", got.ID, got.Rev)]++
			if got.Rev < newest[string(r.Key)] {
				t.Errorf("%s: revision %d of %s came after %d", s.name, got.Rev, r.Key, newest[string(r.Key)])
			}
			newest[string(r.Key)] = got.Rev
		}
		for _, which := range slices.Sorted(maps.Keys(times)) {
			if times[which] > 1 {
				t.Errorf("%s: raw has %s %d times", s.name, which, times[which])
			}
		}
		if len(raw) < records {
			t.Errorf("%s: raw has %d records only", s.name, len(raw))
		}
		// The stages are still at work: what was read later may know more.
		testkit.Eventually(t, 2*time.Minute, func() error {
			become := outcomes(t, p, s.name)
			for at := range raw {
				if become[at] != 1 {
					return fmt.Errorf("%s: raw %d@%d has %d outcomes", s.name, at.partition, at.offset, become[at])
				}
			}
			return nil
		})
	}
}
