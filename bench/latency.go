package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

const (
	latencyRate    = 1000 // records a second
	latencySeconds = 10   // that are measured
	latencyWarm    = 3000 // records before, which are not
	bareTable      = "flights_bare"
	bareInterval   = 20 * time.Millisecond
)

// latency measures the time from a raw record's acknowledgement to its row, at a steady rate, through processor and sink;
// and, in the same run, through two bare loops that commit in fixed intervals.
func (b *bench) latency(ctx context.Context) error {
	var ours, bare []time.Duration
	for range b.runs {
		p, file, env, err := b.pipeline("http://127.0.0.1", 500, 1)
		if err != nil {
			return err
		}
		b.drop(ctx)
		if err := admin.Ensure(ctx, b.adm, topics.Specs(p)); err != nil {
			return err
		}
		some, err := b.throughStages(ctx, p, env, file)
		if err != nil {
			return err
		}
		ours = append(ours, some...)
		if some, err = b.throughBare(ctx, p); err != nil {
			return err
		}
		bare = append(bare, some...)
		b.forget(ctx, p)
	}
	fmt.Printf("\n%-44s %7s %7s %7s\n", fmt.Sprintf("raw record → row, %d in a second, ms", latencyRate), "p50", "p99", "max")
	quantiles("transactions of 20 ms, bare Go", bare)
	quantiles("millrace processor and sink, exactly once", ours)
	fmt.Println("  aim: p50 at most 20, p99 at most 50")
	return nil
}

func quantiles(name string, all []time.Duration) {
	fmt.Printf("%-44s %7.1f %7.1f %7.1f\n", name, quantile(all, 0.5), quantile(all, 0.99), quantile(all, 1))
}

// quantile is in milliseconds. It sorts.
func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))].Seconds() * 1000
}

func (b *bench) throughStages(ctx context.Context, p *pipeline.Pipeline, env []string, file string) ([]time.Duration, error) {
	for _, name := range []string{"sink", "processor"} {
		running, err := b.stage(env, name, file)
		if err != nil {
			return nil, err
		}
		defer func() { _, _ = running.stop() }()
	}
	return took(b.delays(ctx, topics.Raw(p.Name, stream), table, latencySeconds, nil))
}

func (b *bench) throughBare(ctx context.Context, p *pipeline.Pipeline) ([]time.Duration, error) {
	if _, err := b.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+bareTable+" (time_hour datetime PRIMARY KEY, value json)"); err != nil {
		return nil, err
	}
	defer func() { _, _ = b.db.ExecContext(ctx, "DROP TABLE "+bareTable) }()
	raw, to := p.Name+".bare.raw", p.Name+".bare"
	if _, err := b.adm.CreateTopics(ctx, p.Kafka.Partitions, -1, nil, raw, to); err != nil {
		return nil, err
	}
	running, err := start(nil, b.self, "limit-intervals", b.kafka, b.mysql, raw, to)
	if err != nil {
		return nil, err
	}
	defer func() {
		_, _ = running.stop()
		_, _ = b.adm.DeleteTopics(ctx, raw, to)
	}()
	return took(b.delays(ctx, raw, bareTable, latencySeconds, nil))
}

// latencyOrigin is the key of the first record, after all of the workload. Record i follows i seconds later.
var latencyOrigin = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func latencyHour(origin time.Time, i int) time.Time {
	return origin.Add(time.Duration(i) * time.Second)
}

// delay is how long a record took from the broker's answer to its row.
type delay struct {
	from time.Time // of the answer
	took time.Duration
}

func took(all []delay, err error) ([]time.Duration, error) {
	out := make([]time.Duration, len(all))
	for i, d := range all {
		out[i] = d.took
	}
	return out, err
}

// delays produces records to a raw topic for so many seconds, and looks for their rows. Beforehand it does so for a while, and
// then calls warm, if it is not nil.
func (b *bench) delays(ctx context.Context, raw, table string, seconds int, warm func()) ([]delay, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute+2*time.Duration(seconds)*time.Second)
	defer cancel()
	origin := latencyOrigin.AddDate(b.origins, 0, 0)
	b.origins++
	b.lived += latencyWarm + seconds*latencyRate
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.DefaultProduceTopic(raw), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	acknowledged, seen := make([]time.Time, latencyWarm+seconds*latencyRate), make([]time.Time, latencyWarm+seconds*latencyRate)
	if err := client.ProduceSync(ctx, latencyRecord(origin, 0)).FirstErr(); err != nil {
		return nil, err
	}
	if err := b.rowOf(ctx, table, origin); err != nil { // the stages have joined their groups
		return nil, err
	}
	for _, to := range []int{latencyWarm, len(seen)} {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return produceSteadily(ctx, client, origin, acknowledged[:to]) })
		g.Go(func() error { return lookForRows(ctx, b.db, table, origin, seen[:to]) })
		if err := g.Wait(); err != nil {
			return nil, err
		}
		if to == latencyWarm && warm != nil {
			warm()
		}
	}
	var out []delay
	for i := latencyWarm; i < len(seen); i++ {
		out = append(out, delay{acknowledged[i], max(0, seen[i].Sub(acknowledged[i]))})
	}
	return out, nil
}

// rowOf waits for the row of a record.
func (b *bench) rowOf(ctx context.Context, table string, hour time.Time) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		err := b.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table+" WHERE time_hour = ?", hour).Scan(&n)
		if err != nil && !strings.Contains(err.Error(), "doesn't exist") {
			return fmt.Errorf("wait for a row of %s: %w", table, err)
		}
		if n > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a row of %s: %w", table, ctx.Err())
		case <-tick.C:
		}
	}
}

func latencyRecord(origin time.Time, i int) *kgo.Record {
	hour := latencyHour(origin, i).Format(time.RFC3339)
	h := topics.RawHeaders{PageID: strconv.Itoa(i), Time: time.Now(), URL: "http://127.0.0.1/flights"}
	return &kgo.Record{
		Key: fmt.Appendf(nil, `["%s","AA",1]`, hour),
		Value: fmt.Appendf(nil, `{"dep_time":1,"carrier":"AA","flight":1,"origin":"EWR","dest":"IAH","dep_delay":2,"arr_delay":11,"distance":%d,`+
			`"air_time":227,"time_hour":"%s"}`, i, hour),
		Headers: h.Append(nil),
	}
}

// produceSteadily produces the records that have no time yet, but for the first, and notes when each was acknowledged.
func produceSteadily(ctx context.Context, client *kgo.Client, origin time.Time, acknowledged []time.Time) error {
	first := 1
	for first < len(acknowledged) && !acknowledged[first].IsZero() {
		first++
	}
	begun := time.Now()
	for i := first; i < len(acknowledged); {
		if time.Since(begun) < time.Duration(i-first)*time.Second/latencyRate {
			time.Sleep(time.Millisecond)
			continue
		}
		at := &acknowledged[i]
		client.Produce(ctx, latencyRecord(origin, i), func(_ *kgo.Record, err error) {
			if err == nil {
				*at = time.Now()
			}
		})
		i++
	}
	return client.Flush(ctx)
}

// lookForRows notes when each row was seen first, but for the first one.
func lookForRows(ctx context.Context, db *sql.DB, table string, origin time.Time, seen []time.Time) error {
	tick := time.NewTicker(5 * time.Millisecond) // what looks takes cores, too
	defer tick.Stop()
	for low := 1; low < len(seen); {
		if err := seeRows(ctx, db, table, origin, low, seen); err != nil {
			return err
		}
		for low < len(seen) && !seen[low].IsZero() {
			low++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("row %d of %d: %w", low, len(seen), ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// seeRows notes which rows from low on are there.
func seeRows(ctx context.Context, db *sql.DB, table string, origin time.Time, low int, seen []time.Time) error {
	rows, err := db.QueryContext(ctx, "SELECT TIMESTAMPDIFF(SECOND, ?, time_hour) FROM "+table+" WHERE time_hour BETWEEN ? AND ?",
		origin, latencyHour(origin, low), latencyHour(origin, len(seen)-1))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	now := time.Now()
	for rows.Next() {
		var i int
		if err := rows.Scan(&i); err != nil {
			return err
		}
		if seen[i].IsZero() {
			seen[i] = now
		}
	}
	return rows.Err()
}

// intervals moves records from one topic to the next and from there to a table, each by a transaction in every interval,
// until it is stopped.
func intervals(ctx context.Context, brokers, dsn, raw, to string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return relay(ctx, brokers, raw, to) })
	g.Go(func() error { return insert(ctx, brokers, dsn, to) })
	return g.Wait()
}

func relay(ctx context.Context, brokers, raw, to string) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(brokers), kgo.ConsumerGroup(to), kgo.ConsumeTopics(raw), kgo.TransactionalID(to),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DefaultProduceTopic(to), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer session.Close()
	for ctx.Err() == nil {
		fetches := pollFor(ctx, session.PollFetches, bareInterval)
		if len(fetches) == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		for _, r := range fetches {
			session.Produce(ctx, &kgo.Record{Topic: to, Partition: r.Partition, Key: r.Key, Value: r.Value}, nil)
		}
		if _, err := session.End(ctx, kgo.TryCommit); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func insert(ctx context.Context, brokers, dsn, from string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		records := pollFor(ctx, client.PollFetches, bareInterval)
		if len(records) == 0 {
			continue
		}
		var args []any
		for _, r := range records {
			hour := strings.Split(string(r.Key), `"`)[1]
			args = append(args, strings.TrimSuffix(hour, "Z"), string(r.Value))
		}
		statement := "REPLACE INTO " + bareTable + " VALUES (?,?)" + strings.Repeat(",(?,?)", len(records)-1)
		if _, err := db.ExecContext(ctx, statement, args...); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// pollFor polls for an interval, from the first record on.
func pollFor(ctx context.Context, poll func(context.Context) kgo.Fetches, interval time.Duration) []*kgo.Record {
	records := poll(ctx).Records()
	within, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	for within.Err() == nil {
		records = append(records, poll(within).Records()...)
	}
	return records
}
