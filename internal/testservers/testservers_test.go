//go:build integration

package testservers_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testservers"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func TestSharedKafkaTakesTransactions(t *testing.T) {
	brokers := testservers.Kafka(t)
	topic := testservers.Unique(t)
	createTopic(t, brokers, topic)
	ctx := deadline(t, 2*time.Minute)
	cl := kafkaClient(t, brokers, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func TestEachTestHasItsOwnSchema(t *testing.T) {
	ctx := deadline(t, 2*time.Minute)
	for range 2 {
		db := open(t, testservers.MySQL(t))
		if _, err := db.ExecContext(ctx, "CREATE TABLE t (a INT)"); err != nil {
			t.Errorf("a table of an earlier schema is seen: %v", err)
		}
	}
}

func TestKafkaKeepsRecordsAndAddressAcrossAKill(t *testing.T) {
	s := testservers.NewKafka(t)
	topic := testservers.Unique(t)
	createTopic(t, s.Brokers(), topic)
	ctx := deadline(t, 2*time.Minute)
	cl := kafkaClient(t, s.Brokers(), kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic))
	if err := cl.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	s.Start(t)
	s.Pause(t)
	s.Resume(t)
	if err := cl.ProduceSync(ctx, kgo.StringRecord("after")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 2 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("consumed %q, want before and after", got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if got[0] != "before" || got[1] != "after" {
		t.Errorf("consumed %q, want before and after", got)
	}
}

func TestMySQLKeepsRowsAndAddressAcrossAKill(t *testing.T) {
	s := testservers.NewMySQL(t)
	ctx := deadline(t, 2*time.Minute)
	db := open(t, s.DSN())
	if _, err := db.ExecContext(ctx, "CREATE TABLE t (a INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if err := db.PingContext(ctx); err == nil {
		t.Error("a killed server answered")
	}
	s.Start(t)
	s.Stop(t)
	s.Start(t)
	var rows int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM t").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("rows = %d, %v, want 1", rows, err)
	}
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t *testing.T, brokers []string, topic string) {
	t.Helper()
	adm := kadm.NewClient(kafkaClient(t, brokers))
	if _, err := adm.CreateTopic(deadline(t, 2*time.Minute), 1, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

func kafkaClient(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.UnknownTopicRetries(-1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
