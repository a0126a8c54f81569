package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// child runs a limit in a process of its own: its name, then its arguments.
func child(ctx context.Context, name string, args []string) error {
	number := func(i int) int { n, _ := strconv.Atoi(args[i]); return n }
	started := time.Now()
	var err error
	switch name {
	case "limit-api":
		w, err := loadFlights(args[0], number(1))
		if err != nil {
			return err
		}
		return serve(w, "127.0.0.1:0", time.Duration(number(2))*time.Millisecond)
	case "limit-copy":
		return copyTopic(ctx, strings.Split(args[0], ","), args[1], args[2], args[3])
	case "limit-intervals":
		return intervals(ctx, args[0], args[1], args[2], args[3])
	case "limit-discard":
		err = discard(ctx, args[0], number(1), number(2), number(3))
	case "limit-plain":
		err = plain(ctx, args[0], args[1], args[2], number(3), number(4), number(5))
	case "limit-load":
		err = loadData(ctx, args[0], table, args[1], args[2:])
	}
	fmt.Println(time.Since(started).Seconds())
	return err
}

// timed runs a limit that ends by itself and says how many seconds it took.
func (b *bench) timed(units int, name string, args ...string) (sample, error) {
	p, err := start(nil, b.self, append([]string{name}, args...)...)
	if err != nil {
		return sample{}, err
	}
	used, err := p.wait()
	if err != nil {
		return sample{}, err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(p.output.String()), 64)
	return sample{float64(units) / seconds, units, used}, err
}

// api starts the server of the workload and returns its base URL.
func (b *bench) api(ctx context.Context, latency time.Duration) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.self, "limit-api", b.data, strconv.Itoa(b.records), strconv.FormatInt(latency.Milliseconds(), 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	return "http://" + strings.TrimSpace(address), func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, err
}

// measured runs one stage until position has reached end.
func (b *bench) measured(ctx context.Context, env []string, stage, file string, units int, end int64,
	position func(context.Context) (int64, error),
) (sample, error) {
	p, err := b.stage(env, stage, file)
	if err != nil {
		return sample{}, err
	}
	within, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	rate, err := watch(within, p, end, position)
	used, stopped := p.stop()
	if err == nil {
		err = stopped
	}
	return sample{rate, units, used}, err
}

func (b *bench) ingest(ctx context.Context) error {
	if err := b.ingestFrom(ctx, "ingest, 50 ms latency, pages of 100, 16 in flight", 50*time.Millisecond, 100, 16, min(b.records, 300_000)); err != nil {
		return err
	}
	return b.ingestFrom(ctx, "ingest, no latency, pages of 500, 4 in flight", 0, 500, 4, b.records)
}

func (b *bench) ingestFrom(ctx context.Context, title string, latency time.Duration, page, concurrency, records int) error {
	whole := b.records
	b.records = records
	defer func() { b.records = whole }()
	api, stop, err := b.api(ctx, latency)
	if err != nil {
		return err
	}
	defer stop()
	var ours, limit series
	for range b.runs {
		s, err := b.timed(records, "limit-discard", api, strconv.Itoa(records), strconv.Itoa(page), strconv.Itoa(concurrency))
		if err != nil {
			return err
		}
		limit = append(limit, s)
		p, file, env, err := b.pipeline(api, page, concurrency)
		if err != nil {
			return err
		}
		if err := admin.Ensure(ctx, b.adm, topics.Specs(p)); err != nil {
			return err
		}
		s, err = b.measured(ctx, env, "ingest", file, records, int64(records), written(b.adm, topics.Raw(p.Name, stream)))
		b.forget(ctx, p)
		if err != nil {
			return err
		}
		ours = append(ours, s)
	}
	heading(title)
	limit.row("HTTP client that reads and discards")
	ours.row("millrace ingest")
	ratio("of reading and discarding", ours, limit, 0)
	if latency > 0 {
		ideal := float64(concurrency) / latency.Seconds() * float64(page)
		fmt.Printf("  of concurrency ÷ latency (%.1f): %.0f %% (aim: at least 90 %%)\n", ideal/1000, 100*ours.rate()/ideal)
	}
	return nil
}

func (b *bench) processor(ctx context.Context) error {
	var ours, limit series
	for range b.runs {
		p, file, env, err := b.pipeline("http://127.0.0.1", 500, 1)
		if err != nil {
			return err
		}
		if err := fill(ctx, p, b.flights, 0, b.records); err != nil {
			return err
		}
		s, err := b.copied(ctx, p)
		if err != nil {
			return err
		}
		limit = append(limit, s)
		s, err = b.measured(ctx, env, "processor", file, b.records, int64(b.records),
			committed(b.adm, topics.ProcessorGroup(p.Name), topics.Raw(p.Name, stream)))
		b.forget(ctx, p)
		if err != nil {
			return err
		}
		ours = append(ours, s)
	}
	heading("processor, raw records")
	limit.row("consume → produce of the same bytes")
	ours.row("millrace processor, exactly once")
	ratio("of the limit", ours, limit, 45)
	return nil
}

// copied measures copyTopic on the raw topic of p.
func (b *bench) copied(ctx context.Context, p *pipeline.Pipeline) (sample, error) {
	to := p.Name + ".copy"
	if _, err := b.adm.CreateTopic(ctx, p.Kafka.Partitions, -1, nil, to); err != nil {
		return sample{}, err
	}
	child, err := start(nil, b.self, "limit-copy", b.kafka, topics.Raw(p.Name, stream), to, to)
	if err != nil {
		return sample{}, err
	}
	rate, err := watch(ctx, child, int64(b.records), written(b.adm, to))
	used, stopped := child.stop()
	if err == nil {
		err = stopped
	}
	_, _ = b.adm.DeleteTopics(ctx, to)
	return sample{rate, b.records, used}, err
}

// processed fills the raw topic and has the processor empty it; it returns where a sink then ends.
func (b *bench) processed(ctx context.Context, p *pipeline.Pipeline, env []string, file string, from, to int) (int64, error) {
	if err := fill(ctx, p, b.flights, from, to); err != nil {
		return 0, err
	}
	if _, err := b.measured(ctx, env, "processor", file, b.records, int64(to), committed(b.adm, topics.ProcessorGroup(p.Name), topics.Raw(p.Name, stream))); err != nil {
		return 0, err
	}
	return lastData(ctx, p.Kafka.Brokers, b.adm, topics.Processed(p.Name, stream))
}

func (b *bench) sink(ctx context.Context) error {
	var inserts, updates, limitInserts, limitUpdates series
	rows := b.flights.rows()
	for run := range b.runs + 1 {
		if run == 1 { // before that the server touched the memory of its buffer pool for the first time
			inserts, updates, limitInserts, limitUpdates = nil, nil, nil, nil
		}
		p, file, env, err := b.pipeline("http://127.0.0.1", 500, 1)
		if err != nil {
			return err
		}
		b.drop(ctx)
		for i, into := range []*series{&inserts, &updates} {
			end, err := b.processed(ctx, p, env, file, i*b.records, (i+1)*b.records)
			if err != nil {
				return err
			}
			s, err := b.sunk(ctx, p, env, file, end)
			if err != nil {
				return err
			}
			*into = append(*into, s)
		}
		if err := b.load(ctx, rows, &limitInserts, &limitUpdates); err != nil {
			return err
		}
		b.forget(ctx, p)
	}
	heading("sink, rows")
	limitInserts.row("LOAD DATA … REPLACE, new rows")
	inserts.row("millrace sink, exactly once, new rows")
	ratio("of the limit", inserts, limitInserts, 65)
	limitUpdates.row("LOAD DATA … REPLACE, updates")
	updates.row("millrace sink, exactly once, updates")
	ratio("of the limit", updates, limitUpdates, 65)
	return nil
}

// sunk measures the sink up to an offset.
func (b *bench) sunk(ctx context.Context, p *pipeline.Pipeline, env []string, file string, end int64) (sample, error) {
	rows := b.flights.rows()
	at, err := applied(b.db, p.Name)(ctx)
	if err != nil {
		return sample{}, err
	}
	position := func(ctx context.Context) (int64, error) {
		now, err := applied(b.db, p.Name)(ctx)
		return now - at, err
	}
	s, err := b.measured(ctx, env, "sink", file, rows, end-at, position)
	if err != nil {
		return s, err
	}
	s.rate *= float64(rows) / float64(end-at) // a record that the filter refused takes an offset, and no row
	if n, err := count(ctx, b.db); err != nil || n != rows {
		return s, fmt.Errorf("the table has %d rows, want %d (%w)", n, rows, err)
	}
	return s, nil
}

// load measures LOAD DATA of the rows that are in the table, first into the emptied table, then again.
func (b *bench) load(ctx context.Context, rows int, inserts, updates *series) error {
	files, columns, err := dump(ctx, b.db, b.dir, b.connections)
	if err != nil {
		return err
	}
	if _, err := b.db.ExecContext(ctx, "TRUNCATE TABLE "+table); err != nil {
		return err
	}
	for _, into := range []*series{inserts, updates} {
		s, err := b.timed(rows, "limit-load", append([]string{b.mysql, columns}, files...)...)
		if err != nil {
			return err
		}
		*into = append(*into, s)
		const distance = 7 // the column's place in the table
		if err := bump(files, distance); err != nil {
			return err
		}
	}
	if n, err := count(ctx, b.db); err != nil || n != rows {
		return fmt.Errorf("after LOAD DATA the table has %d rows, want %d (%w)", n, rows, err)
	}
	return nil
}

func (b *bench) whole(ctx context.Context) error {
	api, stop, err := b.api(ctx, 0)
	if err != nil {
		return err
	}
	defer stop()
	const page, concurrency = 500, 16
	var ours, script series
	stages := map[string]series{}
	for range b.runs {
		p, file, env, err := b.pipeline(api, page, concurrency)
		if err != nil {
			return err
		}
		b.drop(ctx)
		s, each, err := b.flow(ctx, p, env, file)
		if err != nil {
			return err
		}
		ours = append(ours, s)
		for name, u := range each {
			stages[name] = append(stages[name], sample{s.rate, s.units, u})
		}
		if b.script != "" {
			b.drop(ctx)
			s, err := b.scripted(env)
			if err != nil {
				return err
			}
			script = append(script, s)
		}
		b.forget(ctx, p)
	}
	heading("the whole, API → Kafka → Kafka → MySQL, rows")
	ours.row("millrace, three processes, exactly once")
	for _, name := range []string{"ingest", "processor", "sink"} {
		stages[name].row("  of which " + name)
	}
	if len(script) > 0 {
		script.row("script, API → MySQL")
		ratio("of the script", ours, script, 100)
	}
	return nil
}

// flow runs all three stages from the first request to the last row.
func (b *bench) flow(ctx context.Context, p *pipeline.Pipeline, env []string, file string) (sample, map[string]usage, error) {
	if err := admin.Ensure(ctx, b.adm, topics.Specs(p)); err != nil {
		return sample{}, nil, err
	}
	running := map[string]*process{}
	for _, name := range []string{"sink", "processor", "ingest"} {
		child, err := b.stage(env, name, file)
		if err != nil {
			return sample{}, nil, err
		}
		running[name] = child
	}
	var started time.Time
	rows := b.flights.rows()
	position := b.flowing(p.Name, rows, &started)
	within, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	_, err := watch(within, running["sink"], int64(rows), position)
	s := sample{rate: float64(rows) / time.Since(started).Seconds(), units: rows}
	each := map[string]usage{}
	for name, child := range running {
		u, stopped := child.stop()
		if err == nil {
			err = stopped
		}
		each[name] = u
		s.CPU += u.CPU
		s.PeakMiB += u.PeakMiB
	}
	return s, each, err
}

// flowing is how many of the rows are in the table, and sets started when the first raw record is there.
func (b *bench) flowing(name string, rows int, started *time.Time) func(context.Context) (int64, error) {
	raw := written(b.adm, topics.Raw(name, stream))
	return func(ctx context.Context) (int64, error) {
		if started.IsZero() {
			n, err := raw(ctx)
			if n == 0 || err != nil {
				return 0, err
			}
			*started = time.Now()
		}
		n, err := applied(b.db, name)(ctx)
		if err != nil || n < int64(rows) {
			return min(n, int64(rows)-1), err
		}
		inTable, err := count(ctx, b.db)
		return min(int64(inTable), int64(rows)), err
	}
}

// scripted runs the script to compare with, which makes its own table.
func (b *bench) scripted(env []string) (sample, error) {
	started := time.Now()
	p, err := start(env, "sh", "-c", "exec "+b.script)
	if err != nil {
		return sample{}, err
	}
	used, err := p.wait()
	if err != nil {
		return sample{}, err
	}
	rows := b.flights.rows()
	return sample{float64(rows) / time.Since(started).Seconds(), rows, used}, nil
}
