package tool

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/testkit"
)

// patient is an embedded pipeline to which something happens.
type patient struct {
	t    *testing.T
	api  *warehouse
	path string
	name string // of the pipeline
	run  *child
	db   *sql.DB // of a pipeline that is not embedded
}

func newPatient(t *testing.T, orders int) *patient {
	t.Helper()
	p := &patient{t: t, api: newWarehouse(t, orders), name: "shop"}
	p.path = pipelineFile(t, p.api.URL)
	p.start()
	awaitTable(t, p.path, p.api.shows())
	return p
}

// ids are those of the rows; nil: there is no table yet.
func (p *patient) ids() (ids []int) {
	p.t.Helper()
	if p.db == nil {
		return tableIDs(p.t, p.path)
	}
	rows, err := p.db.QueryContext(p.t.Context(), "SELECT id FROM orders ORDER BY id")
	if err != nil {
		return nil
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			p.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// await waits until the rows are what the API shows.
func (p *patient) await() {
	p.t.Helper()
	want := p.api.shows()
	testkit.Eventually(p.t, patience, testkit.That(fmt.Sprint("the rows ", want), func() bool { return slices.Equal(p.ids(), want) }))
}

func (p *patient) start(flags ...string) {
	p.run = launchFor(p.t, 20*time.Minute, "millrace", append([]string{"run", p.path, "--listen", "127.0.0.1:0"}, flags...)...)
	p.run.address(p.t)
}

func (p *patient) stop() {
	p.t.Helper()
	p.run.send(p.t, syscall.SIGTERM)
	if code := p.run.exit(p.t).ExitCode(); code != 0 {
		p.t.Errorf("exit code %d", code)
	}
}

// command runs a command of the tool, which says what is wanted and ends with a code.
func (p *patient) command(code int, want string, args ...string) {
	p.t.Helper()
	got, stdout, stderr := invoke(p.t, "millrace", append([]string{args[0], p.path}, args[1:]...)...)
	if got != code || !strings.Contains(stdout+stderr, want) {
		p.t.Errorf("%v: %d, want %d and %q\n%s%s", args, got, code, want, stdout, stderr)
	}
}

// brokers calls f with the embedded broker, beside the run or without it.
func (p *patient) brokers(f func(adm *kadm.Client)) {
	p.t.Helper()
	pl, err := cli.LoadPipeline(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	servers, err := embedded.Attach(p.t.Context(), pl, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	client, err := kgo.NewClient(kgo.SeedBrokers(pl.Kafka.Brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	f(kadm.NewClient(client))
}

// forget deletes all records of a topic, as retention would.
func (p *patient) forget(topic string) {
	p.t.Helper()
	p.brokers(func(adm *kadm.Client) {
		ends, err := adm.ListEndOffsets(p.t.Context(), topic)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, err := adm.DeleteRecords(p.t.Context(), ends.Offsets()); err != nil {
			p.t.Fatal(err)
		}
	})
}

func (p *patient) copy(from, to string) {
	p.t.Helper()
	dir := filepath.Join(filepath.Dir(p.path), "data")
	if err := os.RemoveAll(filepath.Join(dir, to)); err != nil {
		p.t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, from))
	if err == nil && info.IsDir() {
		err = os.CopyFS(filepath.Join(dir, to), os.DirFS(filepath.Join(dir, from)))
	} else if err == nil {
		var content []byte
		if content, err = os.ReadFile(filepath.Join(dir, from)); err == nil {
			err = os.WriteFile(filepath.Join(dir, to), content, fs.FileMode(0o600))
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) told(want string) {
	p.t.Helper()
	testkit.Eventually(p.t, patience, testkit.That(want, func() bool { return strings.Contains(p.run.stderr.String(), want) }))
}

// add has the API show more orders.
func (p *patient) add(ids ...int) {
	p.api.mu.Lock()
	defer p.api.mu.Unlock()
	p.api.ids = append(p.api.ids, ids...)
}

func (p *patient) inOrder() {
	p.t.Helper()
	p.command(0, "orders: the positions are in order", "recover")
	awaitTable(p.t, p.path, p.api.shows())
	p.stop()
}

// TestRecoverAGroupThatWasMoved: another program wrote the positions of the processors while they were not there.
func TestRecoverAGroupThatWasMoved(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.command(0, "orders: the positions are in order", "recover", "--yes")
	p.command(0, "paused: processor", "pause", "orders", "--stage", "processor")
	p.add(20, 21, 22, 23)
	testkit.Eventually(t, patience, testkit.That("raw records that are not processed", func() bool {
		_, metrics := get(t, p.run.address(t)+"/metrics")
		return strings.Contains(metrics, `millrace_ingest_records_total{stream="orders"} 24`)
	}))
	p.stop()
	p.brokers(func(adm *kadm.Client) {
		ends, err := adm.ListEndOffsets(t.Context(), "shop.orders.raw")
		if err != nil {
			t.Fatal(err)
		}
		if err := adm.CommitAllOffsets(t.Context(), "shop.processor", ends.Offsets()); err != nil {
			t.Fatal(err)
		}
	})
	p.command(cli.ExitError, "were written by another program", "recover")
	p.command(cli.ExitError, `"done": false`, "recover", "--output", "json")
	p.command(0, `"to_do": [
      "the processors continue`, "recover", "--yes", "--output", "json")
	p.command(0, `"done": true`, "recover", "--output", "json")
	p.command(0, "orders: the positions are in order", "recover")
	p.start()
	p.command(0, "resumed: processor", "resume", "orders")
	awaitTable(t, p.path, p.api.shows())
	p.inOrder()
}

// TestRecoverWhatRetentionTook from the processed topic: what was not written yet is processed again. Then from the raw
// topic: it is fetched again.
func TestRecoverWhatRetentionTook(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.command(0, "paused: sink", "pause", "orders", "--stage", "sink")
	p.told("paused since")
	p.add(20, 21, 22, 23)
	testkit.Eventually(t, patience, testkit.That("records that are not written", func() bool {
		_, metrics := get(t, p.run.address(t)+"/metrics")
		return strings.Contains(metrics, `millrace_processor_records_out_total{stream="orders"} 24`) ||
			strings.Contains(metrics, `millrace_processor_records_total{stream="orders"} 24`)
	}))
	p.forget("shop.orders.processed")
	p.command(0, "resumed: sink", "resume", "orders")
	p.told("millrace recover " + p.path + " orders")
	p.command(0, "orders: to do: the sinks continue at the start of shop.orders.processed", "recover", "--yes")
	awaitTable(t, p.path, p.api.shows())
	p.command(0, "orders: the positions are in order", "recover")

	p.command(0, "paused: processor", "pause", "orders", "--stage", "processor")
	testkit.Eventually(t, patience, testkit.That("the processor's pause", func() bool {
		_, metrics := get(t, p.run.address(t)+"/metrics")
		return strings.Contains(metrics, `millrace_processor_notices{kind="paused",stream="orders"} 1`)
	}))
	p.add(24, 25)
	testkit.Eventually(t, patience, testkit.That("raw records that are not processed", func() bool {
		_, metrics := get(t, p.run.address(t)+"/metrics")
		return strings.Contains(metrics, `millrace_ingest_records_total{stream="orders"} 26`)
	}))
	p.forget("shop.orders.raw")
	p.command(0, "resumed: processor", "resume", "orders")
	p.told("retention")
	p.command(0, "raw records are gone that were not processed", "recover", "--yes")
	p.command(0, "running processes begin within seconds", "reset", "orders", "--yes")
	awaitTable(t, p.path, p.api.shows())
	p.inOrder()
}

// TestRecoverADatabaseThatIsOlder needs no command: the sink reads on from where it was.
func TestRecoverADatabaseThatIsOlder(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.stop()
	p.copy("millrace.db", "backup.db")
	p.start()
	p.add(20, 21, 22, 23)
	awaitTable(t, p.path, p.api.shows())
	p.stop()
	p.copy("backup.db", "millrace.db")
	p.start()
	awaitTable(t, p.path, p.api.shows())
	p.inOrder()
}

// TestRecoverAKafkaThatIsOlder: offsets are given twice, so the rows count as older, and everything is fetched again.
// What the API shows no more goes with a sweep, although the raw topic knows nothing of it.
func TestRecoverAKafkaThatIsOlder(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.stop()
	p.copy("kafka", "backup")
	p.start()
	p.add(20, 21, 22, 23, 24, 25, 26, 27)
	awaitTable(t, p.path, p.api.shows())
	p.api.drop(27)
	p.stop()
	p.copy("backup", "kafka")
	p.start()
	p.told("--kafka-lost")
	p.command(cli.ExitError, "`millrace recover "+p.path+" orders --kafka-lost`", "recover", "--yes")
	p.command(0, "orders: done", "recover", "--kafka-lost", "--yes")
	p.add(28)
	testkit.Eventually(t, patience, testkit.That("what came after", func() bool { return len(tableIDs(t, p.path)) == len(p.api.shows())+1 }))
	p.command(0, "1 row deleted", "reset", "orders", "--sweep", "--yes")
	awaitTable(t, p.path, p.api.shows())
	p.inOrder()
}

// TestRecoverATableThatIsGone: no position is wrong, so recover names the command that makes the rows again.
func TestRecoverATableThatIsGone(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.stop()
	db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(p.path), "data", "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "DROP TABLE orders")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	p.start()
	replay := "millrace replay " + p.path + " orders"
	p.told(replay)
	p.command(cli.ExitError, "rows are missing: `"+replay+"`", "recover")
	p.command(cli.ExitError, `"next": "`+replay+`"`, "recover", "--output", "json")
	p.command(0, "all is processed again", "replay", "orders", "--yes")
	p.inOrder()
}
