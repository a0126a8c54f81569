package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

const (
	scaleRecords = 2000             // of each stream
	scaleIdle    = 70 * time.Second // more than the longest interval in which a stage looks after something
	scaleWithin  = 30 * time.Minute
)

// scale shows what many partitions cost that have little to do: a process of each stage, from its start to the first
// row and to the last, its memory, what MySQL is asked while nothing happens, and how long a second sink takes to get
// its share.
func (b *bench) scale(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scaleWithin)
	defer cancel()
	whole := b.records
	b.records = scaleRecords
	api, stop, err := b.api(ctx, 0)
	b.records = whole
	if err != nil {
		return err
	}
	defer stop()
	p, path, err := b.many(api)
	if err != nil {
		return err
	}
	tell := func(what string, d time.Duration) { fmt.Printf("  %-62s %7.1f s\n", what, d.Seconds()) }
	b.dropScale(ctx)
	defer func() { b.forget(context.WithoutCancel(ctx), p); b.dropScale(context.WithoutCancel(ctx)) }()
	began := time.Now()
	if err := b.ensureAll(ctx, p); err != nil {
		return err
	}
	fmt.Printf("\n%d streams of %d partitions, a process of each stage\n", b.streams, b.partitions)
	tell("topics made", time.Since(began))

	began = time.Now()
	running := map[string]*process{}
	defer func() {
		for _, r := range running {
			_, _ = r.stop()
		}
	}()
	if err := b.startAll(running, path); err != nil {
		return err
	}
	if err := b.until(ctx, func() (bool, error) { n, err := b.scaleRows(ctx); return n > 0, err }); err != nil {
		return err
	}
	tell("start to the first row", time.Since(began))
	if err := b.until(ctx, func() (bool, error) { n, err := b.scaleRows(ctx); return n == b.streams*scaleRecords, err }); err != nil {
		return err
	}
	tell(fmt.Sprintf("start to the last of %d rows", b.streams*scaleRecords), time.Since(began))
	if err := b.idle(ctx, running); err != nil {
		return err
	}
	if err := b.again(ctx, p, running, path, tell); err != nil {
		return err
	}
	return b.rebalance(ctx, path, tell)
}

// ensureAll makes the topics. The brokers may need longer for so many than one call waits, as the stages know.
func (b *bench) ensureAll(ctx context.Context, p *pipeline.Pipeline) error {
	for {
		if err := admin.Ensure(ctx, b.adm, topics.Specs(p)); err == nil || !kerr.IsRetriable(err) || ctx.Err() != nil {
			return err
		}
	}
}

// startAll starts a process of each stage.
func (b *bench) startAll(running map[string]*process, path string) (err error) {
	for _, name := range []string{"sink", "processor", "ingest"} {
		if running[name], err = b.stage(nil, name, path); err != nil {
			return err
		}
	}
	return nil
}

// again stops the stages and starts them: topics, tables and positions are there, and a record waits.
func (b *bench) again(ctx context.Context, p *pipeline.Pipeline, running map[string]*process, path string, tell func(string, time.Duration)) error {
	for _, name := range []string{"ingest", "processor", "sink"} {
		began := time.Now()
		if _, err := running[name].stop(); err != nil {
			return err
		}
		tell("end of the "+name, time.Since(began))
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.DefaultProduceTopic(topics.Raw(p.Name, "s0")))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, latencyRecord(latencyOrigin, 0)).FirstErr(); err != nil {
		return err
	}
	began := time.Now()
	if err := b.startAll(running, path); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, scaleWithin)
	defer cancel()
	if err := b.rowOf(within, "scale_0", latencyOrigin); err != nil {
		return err
	}
	tell("start again to the row of a record that waited", time.Since(began))
	return nil
}

// idle prints what a while without records costs.
func (b *bench) idle(ctx context.Context, running map[string]*process) error {
	quiet := func(d time.Duration) (int, error) {
		before, err := b.questions(ctx)
		if err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(d):
		}
		after, err := b.questions(ctx)
		return after - before - 1, err // the first question is one
	}
	if _, err := quiet(10 * time.Second); err != nil { // for what is in hand
		return err
	}
	n, err := quiet(scaleIdle)
	if err != nil {
		return err
	}
	fmt.Printf("  %-62s %7.1f\n", "MySQL statements a second, idle", float64(n)/scaleIdle.Seconds())
	for _, name := range []string{"ingest", "processor", "sink"} {
		fmt.Printf("  %-62s %7.0f MiB, now %.0f\n", "memory of "+name+", at most", float64(running[name].peakKiB.Load())/1024, running[name].resident())
	}
	return nil
}

// resident is the resident memory of a process, in MiB.
func (p *process) resident() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	kib, _, _ := strings.Cut(strings.TrimSpace(string(after)), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / 1024
}

// rebalance starts a second sink, and stops it again.
func (b *bench) rebalance(ctx context.Context, path string, tell func(string, time.Duration)) error {
	shared := func(owners int) func() (bool, error) {
		return func() (bool, error) {
			var claimed, names int
			err := b.db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(DISTINCT owner_name) FROM millrace_offsets WHERE owner IS NOT NULL").Scan(&claimed, &names)
			return claimed == b.streams*b.partitions && names == owners, err
		}
	}
	began := time.Now()
	second, err := b.stage(nil, "sink", path)
	if err != nil {
		return err
	}
	if err := b.until(ctx, shared(2)); err != nil {
		_, _ = second.stop()
		return err
	}
	tell("start of a second sink until it has its share", time.Since(began))
	began = time.Now()
	if _, err := second.stop(); err != nil {
		return err
	}
	if err := b.until(ctx, shared(1)); err != nil {
		return err
	}
	tell("end of the second sink until the first has all", time.Since(began))
	return nil
}

// until asks until the answer is yes.
func (b *bench) until(ctx context.Context, is func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := is()
		if yes || err != nil && !strings.Contains(err.Error(), "doesn't exist") {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

func (b *bench) scaleRows(ctx context.Context) (rows int, err error) {
	var each []string
	for i := range b.streams {
		each = append(each, fmt.Sprintf("(SELECT COUNT(*) FROM scale_%d)", i))
	}
	err = b.db.QueryRowContext(ctx, "SELECT "+strings.Join(each, " + ")).Scan(&rows)
	return rows, err
}

func (b *bench) questions(ctx context.Context) (n int, err error) {
	var name string
	err = b.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n)
	return n, err
}

func (b *bench) dropScale(ctx context.Context) {
	b.drop(ctx)
	for i := range b.streams {
		_, _ = b.db.ExecContext(ctx, fmt.Sprintf("DROP TABLE IF EXISTS scale_%d", i))
	}
}

// many writes a pipeline of many streams of the same records.
func (b *bench) many(api string) (*pipeline.Pipeline, string, error) {
	b.serial++
	var text bytes.Buffer
	fmt.Fprintf(&text, "pipeline: scale-%d-%d\nkafka: {brokers: [%q], partitions: %d}\ndatabase: {mysql: %q}\nhttp: {base_url: %q}\nstreams:\n",
		os.Getpid(), b.serial, b.kafka, b.partitions, b.mysql, api)
	for i := range b.streams {
		fmt.Fprintf(&text, `  s%d:
    ingest:
      path: /flights
      records: data
      key: [time_hour, carrier, flight]
      paginate: {offset: {param: offset, limit_param: limit, limit: 500, stop: {total: total}}}
    process:
      - map: {time_hour: time_hour, carrier: carrier, flight: flight, distance: distance}
    sink:
      table: scale_%d
      columns: {time_hour: datetime key, carrier: varchar(8) key, flight: int key, distance: int}
`, i, i)
	}
	path := filepath.Join(b.dir, "scale.yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return nil, "", err
	}
	p, err := file.Parse(path, text.Bytes(), os.LookupEnv)
	return p, path, err
}
