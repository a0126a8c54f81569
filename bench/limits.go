package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// copyTopic consumes from one topic and produces the same keys, values and headers to the same partition of
// another, with two clients in a group, without processing or transactions, until it is stopped.
func copyTopic(ctx context.Context, brokers []string, from, to, group string) error {
	g, ctx := errgroup.WithContext(ctx)
	for range 2 {
		g.Go(func() error {
			client, err := kgo.NewClient(
				kgo.SeedBrokers(brokers...),
				kgo.ConsumerGroup(group), kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(to),
				kgo.ProducerBatchCompression(kgo.Lz4Compression()),
			)
			if err != nil {
				return err
			}
			defer client.Close()
			return copyRecords(ctx, client, to)
		})
	}
	return g.Wait()
}

func copyRecords(ctx context.Context, client *kgo.Client, to string) error {
	var failed atomic.Pointer[error]
	for {
		fetches := client.PollRecords(ctx, 10_000)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			client.Produce(ctx, &kgo.Record{Topic: to, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers},
				func(_ *kgo.Record, err error) {
					if err != nil && ctx.Err() == nil {
						failed.Store(&err)
					}
				})
		})
		if err := failed.Load(); err != nil {
			return *err
		}
	}
}

// discard reads all pages with so many requests in flight, and throws them away.
func discard(ctx context.Context, api string, records, page, concurrency int) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	client := &http.Client{Transport: transport}
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range concurrency {
		g.Go(func() error {
			for {
				offset := int(next.Add(int64(page))) - page
				if offset >= records {
					return nil
				}
				if err := get(ctx, client, fmt.Sprintf("%s/flights?offset=%d&limit=%d", api, offset, page)); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// loadData sends each file with LOAD DATA LOCAL INFILE … REPLACE, on one connection a file, in one statement.
func loadData(ctx context.Context, dsn, table, columns string, files []string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range files {
		g.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			mysql.RegisterReaderHandler(name, func() io.Reader { return f })
			defer mysql.DeregisterReaderHandler(name)
			_, err = db.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' REPLACE INTO TABLE "+table+
				" CHARACTER SET binary FIELDS TERMINATED BY '\\t' LINES TERMINATED BY '\\n' "+columns)
			return err
		})
	}
	return errors.Join(g.Wait())
}
