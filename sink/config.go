package sink

import (
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// Config is how a sink works. What it does is in the pipeline.
type Config struct {
	// Writers is how many connections write, each with partitions of its own; the first alone while few records come. 1–64;
	// more than two gain little on one MySQL with few cores.
	Writers int

	// MaxFetchBytes is of one answer, of processed records as the brokers hold them; 64 KiB–1 GiB. Of each broker one
	// answer is in hand and one ahead.
	MaxFetchBytes int
	// MaxRecords is of one batch, which is a transaction; 1–1,000,000. One that is not written in 25 s is cut in four.
	MaxRecords    int
	MaxBatchBytes int // of one batch, keys and values; 64 KiB–1 GiB

	StatementBytes int // of one INSERT; 64 KiB–64 MiB, and never more than half of the server's max_allowed_packet
	StatementRows  int // of one INSERT; 1–100,000

	// LoadRows is from how many rows of a table in one batch they are sent by LOAD DATA, where the server takes it:
	// with fewer, its round trips cost more than they save. 1–1,000,000.
	LoadRows int

	// Gap is how long it is at least from a poll that brought few records to the next, so that they are one transaction;
	// 0–1 s. Nobody waits for rows of a table that is built.
	Gap time.Duration

	// SessionTimeout is how long a sink may be silent before another takes its partitions over; 6 s–30 min, which are
	// the brokers' default bounds.
	SessionTimeout time.Duration
	// LockTimeout is how long a claim waits for a row that a frozen owner may hold, before it kills that owner's
	// connection; 1 s–1 min.
	LockTimeout time.Duration
	// of marks, in hours in which the stream had caught up; no older record may come later. 1 h or more
	MarkRetention time.Duration
	Adopt         []string      // streams that take their table from another owner, once
	Drain         time.Duration // at most, from the end of Run's context to its return; 0 or more
}

// DefaultConfig is right for a MySQL with a few cores.
func DefaultConfig() Config {
	return Config{
		Writers:        2,
		MaxFetchBytes:  1 << 20,
		MaxRecords:     20_000,
		MaxBatchBytes:  8 << 20,
		StatementBytes: 1 << 20,
		StatementRows:  1000,
		LoadRows:       2000,
		SessionTimeout: 10 * time.Second,
		LockTimeout:    2 * time.Second,
		MarkRetention:  7 * 24 * time.Hour,
		Drain:          20 * time.Second,
	}
}

// Validate joins every problem, with its value and its bounds.
func (c Config) Validate() error {
	var r stage.Ranges
	stage.Between(&r, "Writers", c.Writers, 1, 64)
	stage.Between(&r, "MaxRecords", c.MaxRecords, 1, 1_000_000)
	stage.Between(&r, "MaxFetchBytes", c.MaxFetchBytes, 64<<10, 1<<30)
	stage.Between(&r, "MaxBatchBytes", c.MaxBatchBytes, 64<<10, 1<<30)
	stage.Between(&r, "StatementBytes", c.StatementBytes, 64<<10, 64<<20)
	stage.Between(&r, "StatementRows", c.StatementRows, 1, 100_000)
	stage.Between(&r, "LoadRows", c.LoadRows, 1, 1_000_000)
	stage.Between(&r, "Gap", c.Gap, 0, time.Second)
	stage.Between(&r, "SessionTimeout", c.SessionTimeout, 6*time.Second, 30*time.Minute)
	stage.Between(&r, "LockTimeout", c.LockTimeout, time.Second, time.Minute)
	stage.Between(&r, "MarkRetention", c.MarkRetention, time.Hour, 10*365*24*time.Hour)
	stage.Between(&r, "Drain", c.Drain, 0, time.Hour)
	return r.Err()
}
