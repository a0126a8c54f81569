package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	cutter "github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

const (
	gridLatency = 50 * time.Millisecond
	gridSeconds = 4 // that a run is to take at the ideal rate, about
)

// grid measures ingest at several concurrencies and page sizes. With a latency the ideal is concurrency ÷ latency;
// without, it is a client that reads, cuts and produces as ingest does, without transactions, cursors and checks, in
// the same run.
func (b *bench) grid(ctx context.Context) error {
	fmt.Printf("\n%-44s %9s %9s %7s   %7s %7s\n", "ingest", "pages/s", "ideal", "%", "krec/s", "MiB")
	for _, latency := range []time.Duration{gridLatency, 0} {
		api, stop, err := b.api(ctx, latency)
		if err != nil {
			return err
		}
		for _, concurrency := range []int{1, 8, 64} {
			for _, page := range []int{10, 100, 1000} {
				if err := b.cell(ctx, api, latency, concurrency, page); err != nil {
					stop()
					return fmt.Errorf("concurrency %d, pages of %d: %w", concurrency, page, err)
				}
			}
		}
		stop()
	}
	fmt.Println("  aim: at least 95 % with latency, 70 % without")
	return nil
}

// cell measures one combination.
func (b *bench) cell(ctx context.Context, api string, latency time.Duration, concurrency, page int) error {
	var ours, limit series
	for range b.runs {
		p, file, env, err := b.pipeline(api, page, concurrency)
		if err != nil {
			return err
		}
		if err := admin.Ensure(ctx, b.adm, topics.Specs(p)); err != nil {
			return err
		}
		if latency == 0 {
			to := p.Name + ".plain"
			if _, err := b.adm.CreateTopic(ctx, p.Kafka.Partitions, -1, nil, to); err != nil {
				return err
			}
			s, err := b.timed(b.records, "limit-plain", api, b.kafka, to, strconv.Itoa(b.records), strconv.Itoa(page), strconv.Itoa(concurrency))
			if err != nil {
				return err
			}
			limit = append(limit, s)
		}
		// The API counts all records: what is measured is the first of them, as many as the ideal takes some seconds for.
		end := int64(b.records)
		if latency > 0 {
			end = min(end, int64(gridSeconds*float64(concurrency*page)/latency.Seconds()))
		}
		s, err := b.measured(ctx, env, "ingest", file, b.records, end, written(b.adm, topics.Raw(p.Name, stream)))
		share := 1.0
		if err == nil {
			share, err = recordShare(ctx, p.Kafka.Brokers, b.adm, topics.Raw(p.Name, stream))
		}
		s.rate *= share
		b.forget(ctx, p)
		if err != nil {
			return err
		}
		ours = append(ours, s)
	}
	ideal := limit.rateOr(float64(concurrency*page) / max(latency, time.Nanosecond).Seconds())
	_, _, peak := ours.of(func(x sample) float64 { return x.PeakMiB })
	fmt.Printf("%-44s %9.0f %9.0f %7.0f   %7.1f %7.0f\n", fmt.Sprintf("%v latency, %d in flight, pages of %d", latency, concurrency, page),
		ours.rate()/float64(page), ideal/float64(page), 100*ours.rate()/ideal, ours.rate()/1000, peak)
	return nil
}

// rateOr is the median rate, or another if there is none.
func (s series) rateOr(other float64) float64 {
	if len(s) == 0 {
		return other
	}
	return s.rate()
}

// plain reads all pages with so many requests in flight, cuts the records out and produces each with its key.
func plain(ctx context.Context, api, broker, topic string, records, page, concurrency int) error {
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer producer.Close()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	client := &http.Client{Transport: transport}
	var failed atomic.Pointer[error]
	g, gctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range concurrency {
		g.Go(func() error {
			e := cutter.Envelope{Records: []string{"data"}, MaxRecordBytes: 1 << 20}
			fields := cutter.NewFields([]string{"time_hour"}, []string{"carrier"}, []string{"flight"})
			values := make([]jsontext.Value, fields.Len())
			for {
				offset := int(next.Add(int64(page))) - page
				if offset >= records {
					return nil
				}
				body, err := fetched(gctx, client, fmt.Sprintf("%s/flights?offset=%d&limit=%d", api, offset, page))
				if err != nil {
					return err
				}
				_, err = cutter.Bytes(body, &e, func(_ int, value []byte) error {
					fields.Find(value, values)
					key, err := topics.AppendKey(nil, values...)
					producer.Produce(ctx, &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
						if err != nil {
							failed.Store(&err)
						}
					})
					return err
				})
				if err != nil {
					return err
				}
			}
		})
	}
	err = g.Wait()
	if flushed := producer.Flush(ctx); err == nil {
		err = flushed
	}
	if f := failed.Load(); f != nil && err == nil {
		err = *f
	}
	return err
}

func fetched(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if !strings.HasPrefix(answer.Status, "200") {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}
