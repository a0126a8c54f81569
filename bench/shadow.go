package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// shadow measures how fast a line is filled beside the live one, against how fast processor and sink take the same
// records in the first place; comparing the two tables, swapping them, and the longest that a reader waits meanwhile.
func (b *bench) shadow(ctx context.Context) error {
	f, stop, err := b.first(ctx)
	defer stop()
	if err != nil {
		return err
	}
	other, err := b.otherLogic("upper(origin)")
	if err != nil {
		return err
	}
	built, err := b.command(ctx, f.env, "replay", other, stream, "--shadow", "--yes")
	if err != nil {
		return err
	}
	thousands := func(took time.Duration) float64 { return float64(b.records) / took.Seconds() / 1000 }
	fmt.Printf("\n%-44s %9.1f\n%-44s %9.1f\n  of it: %.0f %%\n", "raw record → row, the first time, thousands/s", thousands(f.took),
		"a shadow, until it is built", thousands(built), 100*f.took.Seconds()/built.Seconds())
	return b.exchange(ctx, f.env, other)
}

// exchange compares the tables and swaps them there and back, under readers.
func (b *bench) exchange(ctx context.Context, env []string, file string) error {
	compared, err := b.command(ctx, env, "replay", "diff", file, stream)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %9.1f\n", "diff, s", compared.Seconds())
	for _, verb := range []string{"swap", "rollback", "swap"} {
		readers := b.readers(ctx)
		took, err := b.command(ctx, env, "replay", verb, file, stream, "--yes")
		text, prepared, failed := readers()
		if err != nil || failed != nil {
			return fmt.Errorf("%s: %w (a reader: %w)", verb, err, failed)
		}
		fmt.Printf("%-44s %9.1f   a reader waited for at most %d ms (text), %d ms (prepared)\n", verb+", s", took.Seconds(), text.Milliseconds(), prepared.Milliseconds())
	}
	return nil
}

// readers read the table, one by text and one by a prepared statement, until the result is called: the longest that
// each has waited.
func (b *bench) readers(ctx context.Context) func() (text, prepared time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var longest [2]time.Duration
	var errs [2]error
	for i, query := range []func() error{
		func() error {
			return b.readOnce(ctx, "SELECT * FROM "+table+" WHERE time_hour = '2013-01-01 10:00:00' LIMIT 5")
		},
		func() error {
			return b.readOnce(ctx, "SELECT * FROM "+table+" WHERE time_hour = ? LIMIT 5", "2013-01-01 10:00:00")
		},
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if err := query(); err != nil && ctx.Err() == nil {
					errs[i] = err
					return
				}
				longest[i] = max(longest[i], time.Since(began))
			}
		})
	}
	return func() (time.Duration, time.Duration, error) {
		cancel()
		all.Wait()
		if errs[0] == nil {
			errs[0] = errs[1]
		}
		return longest[0], longest[1], errs[0]
	}
}

// readOnce reads some rows; with arguments by a prepared statement.
func (b *bench) readOnce(ctx context.Context, query string, args ...any) error {
	var found *sql.Rows
	found, err := b.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
	}
	return found.Err()
}

// otherLogic writes the pipeline file with another expression of the origin.
func (b *bench) otherLogic(origin string) (path string, err error) {
	path = filepath.Join(b.dir, "other.yaml")
	return path, os.WriteFile(path, bytes.Replace(pipelineFile, []byte("origin: origin"), []byte("origin: "+origin), 1), 0o600)
}

// command runs a command of the tool, and returns how long it took.
func (b *bench) command(ctx context.Context, env []string, args ...string) (time.Duration, error) {
	began := time.Now()
	p, err := start(env, filepath.Join(b.dir, "millrace"), args...)
	if err != nil {
		return 0, err
	}
	if _, err := p.wait(); err != nil {
		return 0, err
	}
	return time.Since(began), ctx.Err()
}
