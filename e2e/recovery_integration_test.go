//go:build integration

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
)

// TestRecovery loses what can be lost, one thing after the other, on real servers: each time it is said what happened,
// what does not recover by itself names the command that does, and in the end the table equals what the API has.
func TestRecovery(t *testing.T) {
	w := newRecovery(t)
	for _, c := range []struct {
		name string
		do   func(*patient)
	}{
		{"RawRecreated", rawRecreated},
		{"ProcessedRecreated", processedRecreated},
		{"ProcessedLostItsStart", processedLostItsStart},
		{"StateLost", stateLost},
		{"GroupMoved", groupMoved},
		{"PipelineRenamed", pipelineRenamed},
		{"TableDropped", tableDropped},
		{"TableRestoredAlone", tableRestoredAlone},
		{"DatabaseOlderThanKafka", databaseOlder},
		{"DatabaseOlderThanKafkaAndRetention", databaseOlderAndRetention},
		{"KafkaOlderThanDatabase", kafkaOlder},
	} {
		t.Run(c.name, func(t *testing.T) { c.do(w.patient(t, strings.ToLower(c.name))) })
	}
}

// recovery is real servers, and the tool.
type recovery struct {
	binary  string
	kafka   *testservers.KafkaServer
	mysql   *testservers.MySQLServer
	brokers []string
	dsn     string
	db      *sql.DB
}

func newRecovery(t *testing.T) *recovery {
	t.Helper()
	root, err := mutants.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := (&mutants.Mutant{}).Build(t.Context(), root, dir, "./cmd/millrace"); err != nil {
		t.Fatal(err)
	}
	w := &recovery{binary: filepath.Join(dir, "millrace"), kafka: testservers.NewKafka(t), mysql: testservers.NewMySQL(t)}
	w.brokers, w.dsn = w.kafka.Brokers(), w.mysql.DSN()
	if w.db, err = sql.Open("mysql", w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// patient is a pipeline with one stream, orders, of an API that shows what it is told.
type patient struct {
	*recovery

	t     *testing.T
	name  string
	table string
	file  string

	mu     sync.Mutex
	orders map[int]int // total by id
	run    *exec.Cmd
	log    *testkit.Buffer
}

func (w *recovery) patient(t *testing.T, name string) *patient {
	t.Helper()
	p := &patient{recovery: w, t: t, name: name, table: name + "_orders", orders: map[int]int{}}
	api := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		var list []string
		for id, total := range p.orders {
			list = append(list, fmt.Sprintf(`{"id": %d, "total": %d}`, id, total))
		}
		_, _ = fmt.Fprintf(out, "[%s]", strings.Join(list, ","))
	}))
	t.Cleanup(api.Close)
	p.file = filepath.Join(t.TempDir(), "shop.yaml")
	p.write(name, api.URL)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", p.log)
		}
		if p.run != nil {
			_ = p.run.Process.Kill()
			_ = p.run.Wait()
		}
	})
	p.set(0, 50, 1)
	p.start()
	p.equal()
	return p
}

func (p *patient) write(name, url string) {
	p.t.Helper()
	content := fmt.Sprintf(`pipeline: %s
kafka: {brokers: [%q], partitions: 3}
database: {mysql: %q}
http: {base_url: %q}
streams:
  orders:
    ingest: {path: /orders, key: id, every: 200ms}
    sink: {table: %s, columns: {id: bigint key, total: bigint}}
`, name, p.brokers[0], p.dsn, url, p.table)
	if err := os.WriteFile(p.file, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// set has the API show orders with a total.
func (p *patient) set(from, below, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := from; id < below; id++ {
		p.orders[id] = total
	}
}

// drop has the API show orders no more.
func (p *patient) drop(ids ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.orders, id)
	}
}

func (p *patient) start(flags ...string) {
	p.t.Helper()
	p.log = &testkit.Buffer{}
	p.run = exec.Command(p.binary, append([]string{"run", p.file, "--listen", "", "--instance", p.name}, flags...)...)
	p.run.Stdout, p.run.Stderr = p.log, p.log
	if err := p.run.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) stop() {
	p.t.Helper()
	if err := p.run.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.run.Wait(); err != nil {
		p.t.Errorf("%v:\n%s", err, p.log)
	}
	p.run = nil
}

const recoveryPatience = 3 * time.Minute

func (p *patient) await(what string, is func() bool) {
	p.t.Helper()
	testkit.Eventually(p.t, recoveryPatience, testkit.That(what, is))
}

func (p *patient) rows() map[int]int {
	p.t.Helper()
	found, err := p.db.QueryContext(p.t.Context(), "SELECT id, total FROM "+p.table)
	if err != nil {
		return nil // not there yet
	}
	defer func() { _ = found.Close() }()
	out := map[int]int{}
	for found.Next() {
		var id, total int
		if err := found.Scan(&id, &total); err != nil {
			p.t.Fatal(err)
		}
		out[id] = total
	}
	return out
}

// equal waits until the table equals the API.
func (p *patient) equal() {
	p.t.Helper()
	testkit.Eventually(p.t, recoveryPatience, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d := cmp.Diff(p.orders, p.rows()); d != "" {
			return fmt.Errorf("the table does not equal the API (-want +got):\n%s", d)
		}
		return nil
	})
}

// told waits until the log says something.
func (p *patient) told(want string) {
	p.t.Helper()
	p.await(want, func() bool { return strings.Contains(p.log.String(), want) })
}

// command runs a command of the tool, which says what is wanted.
func (p *patient) command(want string, args ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), recoveryPatience)
	defer cancel()
	all := append([]string{args[0], p.file}, args[1:]...)
	out, err := exec.CommandContext(ctx, p.binary, all...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		p.t.Fatalf("%v: %v, want %q:\n%s", all, err, want, out)
	}
	p.t.Logf("millrace %s\n%s", strings.Join(args, " "), out)
}

func (p *patient) admin(f func(ctx context.Context, adm *kadm.Client) error) {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), recoveryPatience)
	defer cancel()
	if err := f(ctx, kadm.NewClient(client)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) deleteTopic(name string) {
	p.t.Helper()
	p.admin(func(ctx context.Context, adm *kadm.Client) error {
		_, err := adm.DeleteTopic(ctx, name)
		return err
	})
}

// retention deletes all that a topic holds.
func (p *patient) retention(name string) {
	p.t.Helper()
	p.admin(func(ctx context.Context, adm *kadm.Client) error {
		ends, err := adm.ListEndOffsets(ctx, name)
		if err != nil {
			return err
		}
		gone, err := adm.DeleteRecords(ctx, ends.Offsets())
		if err != nil {
			return err
		}
		return gone.Error()
	})
}

// healthy has more traffic through the pipeline.
func (p *patient) healthy() {
	p.t.Helper()
	p.set(0, 10, 900)
	p.set(200, 205, 901)
	p.equal()
	p.command("the positions are in order", "recover")
	p.stop()
}

func rawRecreated(p *patient) {
	p.stop()
	p.deleteTopic(topics.Raw(p.name, "orders"))
	p.set(0, 40, 2)
	p.drop(48, 49)
	p.start()
	const said = "everything is fetched again"
	p.told(said)
	p.await("the new raw topic has all that the API shows, and the rows are those and what it no longer shows", func() bool {
		want := map[int]int{48: 1, 49: 1}
		p.mu.Lock()
		maps.Copy(want, p.orders)
		p.mu.Unlock()
		return maps.Equal(p.rows(), want) && len(p.rawKeys()) == len(want)-2
	})
	if n := strings.Count(p.log.String(), said); n != 1 {
		p.t.Errorf("told %d times", n)
	}
	p.command("2 rows deleted", "reset", "orders", "--sweep", "--yes")
	p.equal()
	p.healthy()
}

// rawKeys are the keys that the raw topic has.
func (p *patient) rawKeys() map[string]bool {
	p.t.Helper()
	keys := map[string]bool{}
	for _, r := range testkit.Records(p.t, p.brokers, topics.Raw(p.name, "orders")) {
		keys[string(r.Key)] = true
	}
	return keys
}

// processedRecreated deletes the processed topic while the sink is behind: what the table had not taken is gone with
// it. No command is needed.
func processedRecreated(p *patient) {
	p.command("paused: sink", "pause", "orders", "--stage", "sink")
	p.told("paused since")
	p.set(0, 40, 2)
	p.set(60, 70, 2)
	p.await("processed records", func() bool { return p.applied() })
	p.stop()
	p.deleteTopic(topics.Processed(p.name, "orders"))
	p.set(70, 75, 3)
	p.start()
	p.command("resumed: sink", "resume", "orders")
	p.told("processors continue after what is in the table")
	p.equal()
	p.healthy()
}

func processedLostItsStart(p *patient) {
	p.command("paused: sink", "pause", "orders", "--stage", "sink")
	p.told("paused since")
	p.set(0, 40, 2)
	p.await("processed records", func() bool { return p.applied() })
	p.retention(topics.Processed(p.name, "orders"))
	p.command("resumed: sink", "resume", "orders")
	p.told(" recover " + p.file + " orders")
	p.command("done; running processes take it up", "recover", "orders", "--yes")
	p.equal()
	p.healthy()
}

// applied reports whether the processors have passed all raw records, of which there are more than the API has orders.
func (p *patient) applied() (done bool) {
	p.admin(func(ctx context.Context, adm *kadm.Client) error {
		raw := topics.Raw(p.name, "orders")
		ends, err := adm.ListEndOffsets(ctx, raw)
		if err != nil {
			return err
		}
		committed, err := adm.FetchOffsets(ctx, topics.ProcessorGroup(p.name))
		if err != nil {
			return err
		}
		var end, at int64
		ends.Each(func(o kadm.ListedOffset) {
			c, _ := committed.Lookup(raw, o.Partition)
			end, at = end+o.Offset, at+c.At
		})
		done = end > 90 && at >= end-3 // markers of transactions
		return nil
	})
	return done
}

func stateLost(p *patient) {
	p.stop()
	p.deleteTopic(topics.IngestState(p.name))
	p.set(0, 40, 2)
	p.drop(48, 49)
	p.start()
	p.told("partitions assigned")
	p.command("2 keys deleted", "reset", "orders", "--sweep", "--yes")
	p.equal()
	p.healthy()
}

func groupMoved(p *patient) {
	p.command("paused: processor", "pause", "orders", "--stage", "processor")
	p.told("paused since")
	p.set(0, 40, 2)
	p.await("raw records", func() (there bool) {
		p.admin(func(ctx context.Context, adm *kadm.Client) error {
			ends, err := adm.ListEndOffsets(ctx, topics.Raw(p.name, "orders"))
			var n int64
			ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
			there = n > 90
			return err
		})
		return there
	})
	p.stop()
	p.admin(func(ctx context.Context, adm *kadm.Client) error {
		ends, err := adm.ListEndOffsets(ctx, topics.Raw(p.name, "orders"))
		if err != nil {
			return err
		}
		return adm.CommitAllOffsets(ctx, topics.ProcessorGroup(p.name), ends.Offsets())
	})
	p.start()
	p.command("resumed: processor", "resume", "orders")
	p.told("were changed by another program")
	p.equal() // the sink answers
	p.healthy()
}

func pipelineRenamed(p *patient) {
	p.stop()
	content, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	renamed := strings.Replace(string(content), "pipeline: "+p.name, "pipeline: other"+p.name, 1)
	if err := os.WriteFile(p.file, []byte(renamed), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.set(0, 40, 2)
	p.start()
	p.told("--adopt orders")
	p.stop()
	p.start("--adopt", "orders")
	p.equal()
	p.healthy()
}

func tableDropped(p *patient) {
	p.stop()
	if _, err := p.db.ExecContext(p.t.Context(), "DROP TABLE "+p.table); err != nil {
		p.t.Fatal(err)
	}
	p.set(0, 40, 2)
	p.start()
	p.told(" replay " + p.file + " orders")
	p.command("", "replay", "orders", "--yes")
	p.equal()
	p.healthy()
}

func tableRestoredAlone(p *patient) {
	p.stop()
	p.inMySQL("mysqldump --single-transaction --set-gtid-purged=OFF $DB " + p.table + " > /tmp/table.sql")
	p.start()
	p.set(0, 40, 2)
	p.set(60, 70, 2)
	p.equal()
	p.stop()
	p.inMySQL("mysql < /tmp/table.sql")
	p.start()
	p.told(" replay " + p.file + " orders")
	p.command("", "replay", "orders", "--yes")
	p.equal()
	p.healthy()
}

// dump and restore are of the schema: the tables, and what millrace keeps beside them.
func (p *patient) dump(to string) {
	p.inMySQL("mysqldump --single-transaction --set-gtid-purged=OFF --databases $DB > " + to)
}

func (p *patient) restore(from string) { p.inMySQL("mysql < " + from) }

func (p *patient) inMySQL(command string) {
	p.t.Helper()
	cfg, err := mysql.ParseDSN(p.dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mysql.Exec(p.t, "sh", "-c", fmt.Sprintf("export MYSQL_PWD=%s DB=%s; set -e; %s", cfg.Passwd, cfg.DBName,
		strings.NewReplacer("mysqldump ", "mysqldump -u"+cfg.User+" ", "mysql <", "mysql -u"+cfg.User+" $DB <").Replace(command)))
}

func databaseOlder(p *patient) {
	p.stop()
	p.dump("/tmp/older.sql")
	p.start()
	p.set(0, 40, 2)
	p.drop(48, 49)
	p.set(60, 70, 2)
	p.command("2 keys deleted", "reset", "orders", "--sweep", "--yes")
	p.equal()
	p.stop()
	p.restore("/tmp/older.sql")
	p.start()
	p.equal() // it reads on from where it was
	p.healthy()
}

func databaseOlderAndRetention(p *patient) {
	p.stop()
	p.dump("/tmp/older2.sql")
	p.start()
	p.set(0, 40, 2)
	p.set(60, 70, 2)
	p.equal()
	p.stop()
	p.restore("/tmp/older2.sql")
	p.retention(topics.Processed(p.name, "orders"))
	p.start()
	p.told(" recover " + p.file + " orders")
	p.command("done; running processes take it up", "recover", "--yes")
	p.equal()
	p.healthy()
}

// kafkaOlder copies the broker's data, has more traffic, and puts the copy in its place, as after the loss of its disk.
func kafkaOlder(p *patient) {
	p.stop()
	const data, backup = "/var/lib/kafka/data", "/tmp/backup"
	p.kafka.Stop(p.t)
	p.kafka.Start(p.t) // so that all is on the disk
	p.kafka.Exec(p.t, "sh", "-c", "rm -rf "+backup+" && cp -a "+data+" "+backup)
	p.start()
	p.set(0, 40, 2)
	p.set(60, 70, 2)
	p.equal()
	p.drop(69)
	p.stop()
	p.kafka.Exec(p.t, "sh", "-c", "rm -rf "+data+"/* && cp -a "+backup+"/. "+data+"/")
	p.kafka.Kill(p.t)
	p.kafka.Start(p.t)
	p.set(0, 5, 3)
	p.start()
	p.told("--kafka-lost")
	p.command("done; running processes take it up", "recover", "orders", "--kafka-lost", "--yes")
	p.command("1 row deleted", "reset", "orders", "--sweep", "--yes")
	p.equal()
	p.healthy()
}
