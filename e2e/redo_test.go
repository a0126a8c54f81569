//go:build integration

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// redone are the streams whose logic is wrong at first. One has versions, one has not, one has several slices.
var redone = []string{"versioned", "ordered", "sliced"}

// TestRedoUnderKills deploys a wrong filter and a wrong map, corrects the file, and has the table put right by a redo,
// beside live traffic, while every process is killed at random, those of the redo too. Who reads the tables all the
// time never sees a row go back, or come back.
func TestRedoUnderKills(t *testing.T) {
	s := seed(t)
	w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), nil)
	right := w.source.file(w.pipeline, w.brokers, w.dsn)
	wrong := strings.Replace(right, "amount * 2", "amount * 3", len(redone)) // which come first in the file
	wrong = strings.Replace(wrong, `status != "draft"`, `status != "drift"`, len(redone))
	w.write(wrong)
	k := &killer{dice: rand.New(rand.NewPCG(s, 4)), pause: 1500 * time.Millisecond, fleet: w.fleet}
	kills := max(20, *killsFlag/2)

	ctx := t.Context()
	w.fleet.startAll("sink-1", "sink-2")
	if err := w.watchOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	w.fleet.startAll(twoOfEach[:4]...)
	busy, rest := context.WithCancel(ctx)
	defer rest()
	var traffic sync.WaitGroup
	traffic.Go(func() { w.changes(busy, *recordsFlag/4, time.Duration(kills)*(k.pause+1200*time.Millisecond)) })
	readers := w.watchTables(busy)

	if err := testkit.Until(ctx, 2*time.Minute, func() error { return w.rows(ctx) }); err != nil {
		t.Fatal(err)
	}
	for range kills / 4 { // under the wrong logic
		k.once(twoOfEach)
	}
	w.write(right)
	for _, stream := range redone {
		if out, err := w.millrace(ctx, "replay", w.fleet.file, stream, "--dry-run"); err != nil {
			t.Fatalf("dry run of %s: %v\n%s\n%s", stream, err, out, w.fleet.get("processor-1").tail(30))
		} else if !strings.Contains(out, "amount") {
			t.Errorf("the dry run of %s does not name the column that changes:\n%s", stream, out)
		}
	}
	var redos sync.WaitGroup
	for _, stream := range redone {
		redos.Go(func() { w.redo(ctx, stream, k) })
	}
	for range kills - kills/4 { // whoever is started again has the right file
		k.once(twoOfEach)
	}
	redos.Wait()
	traffic.Wait()
	rest()
	for _, wrong := range readers() {
		t.Error(wrong)
	}
	t.Log(k)
	c, err := w.verdict(ctx, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.mustHold(t)
	for _, name := range twoOfEach {
		w.fleet.stop(name)
	}
}

// write replaces the pipeline file.
func (w *world) write(file string) {
	w.t.Helper()
	if err := os.WriteFile(w.fleet.file, []byte(file), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// millrace runs a command, and returns what it wrote.
func (w *world) millrace(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(w.binaries, "millrace"), args...).CombinedOutput()
	return string(out), err
}

// redo runs the redo of a stream, kills it a few times, and runs it again until it ends by itself.
func (w *world) redo(ctx context.Context, stream string, k *killer) {
	dice := rand.New(rand.NewPCG(w.dice.Uint64(), 5))
	for n := 0; ctx.Err() == nil; n++ {
		life, end := context.WithCancel(ctx)
		if n < 3 {
			time.AfterFunc(time.Duration(1000+dice.IntN(4000))*time.Millisecond, end)
		}
		// a slow machine has many keys by then
		out, err := w.millrace(life, "replay", w.fleet.file, stream, "--yes", "--letters", "100000")
		end()
		if err == nil {
			return
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() { // it was not killed
			w.t.Errorf("redo of %s: %v\n%s", stream, err, out)
			return
		}
		testkit.Pause(ctx, time.Second)
	}
}

// watchTables reads the tables until ctx ends. What it returns waits for that, and says what went back or came back.
func (w *world) watchTables(ctx context.Context) (wrong func() []string) {
	var readers sync.WaitGroup
	var mu sync.Mutex
	var all []string
	for _, stream := range redone {
		readers.Go(func() {
			highest := map[string][]byte{}
			for ctx.Err() == nil {
				found, err := w.rowsOf(ctx, stream, highest)
				if ctx.Err() == nil && err != nil {
					found = append(found, err.Error())
				}
				mu.Lock()
				all = append(all, found[:min(len(found), maxViolations)]...)
				mu.Unlock()
				testkit.Pause(ctx, 100*time.Millisecond)
			}
		})
	}
	return func() []string {
		readers.Wait()
		return all
	}
}

// rowsOf reads a table, and compares each row with the highest version of its key that was ever seen.
func (w *world) rowsOf(ctx context.Context, stream string, highest map[string][]byte) (wrong []string, err error) {
	rows, err := w.db.QueryContext(ctx, "SELECT id, _mr_version FROM "+stream)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var version []byte
		if err := rows.Scan(&id, &version); err != nil {
			return nil, err
		}
		if bytes.Compare(version, highest[id]) < 0 {
			wrong = append(wrong, fmt.Sprintf("table %s: %s is at version %x, after it was at %x", stream, id, version, highest[id]))
		}
		highest[id] = version
	}
	return wrong, rows.Err()
}

// live is the generation of the logic of each stream.
func (w *world) live(ctx context.Context) (map[string]uint16, error) {
	view := control.NewView(control.Config{Pipeline: w.pipeline, Client: []kgo.Opt{kgo.SeedBrokers(w.brokers...)}})
	defer view.Close()
	if _, err := view.Refresh(ctx); err != nil {
		return nil, err
	}
	out := map[string]uint16{}
	for _, stream := range w.source.names {
		out[stream] = view.Stream(stream).Live
	}
	return out, nil
}

// generationOf reads the header of a letter.
func generationOf(r *kgo.Record) string {
	g, _ := topics.Header(r, topics.HeaderGeneration)
	return string(g)
}
