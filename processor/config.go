package processor

import (
	"runtime"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// Config is how a processor works. What it does is in the pipeline.
type Config struct {
	// Sessions is the number of group members, each with a transactional producer; 1–64. About the number of cores is
	// right: one computes while another waits for its commit.
	Sessions int

	// Interval is how long a transaction collects records at most, which it does under load; with little to do it ends
	// when nothing is there to be added (stage.Pace). A transaction costs a few requests, however many records it has.
	// 1 ms up to half of TransactionTimeout.
	Interval time.Duration
	// MaxRecords is how many raw records a transaction has, about; fewer while the brokers do not get them in time.
	// 1–1,000,000.
	MaxRecords int
	// MaxBytes is how many bytes of raw records a transaction has, about; 64 KiB–1 GiB. With FetchBytes, it bounds the
	// memory of a session.
	MaxBytes   int
	FetchBytes int // of raw records fetched ahead by a session, compressed; 64 KiB–1 GiB

	// Rate is how many raw records a second all processes of the pipeline process together, about; 0: no limit. 0 or more.
	Rate int

	// TransactionTimeout is when the broker aborts a transaction whose session is gone. Until then readers of
	// what comes after it wait. 1 s–15 min.
	TransactionTimeout time.Duration
	// SessionTimeout is how long a session may be silent before another takes its partitions over; 6 s–30 min,
	// which are the brokers' default bounds.
	SessionTimeout time.Duration
	Drain          time.Duration // at most, from the end of Run's context to its return; 0 or more
}

// DefaultConfig is right for a process that has the machine to itself.
func DefaultConfig() Config {
	return Config{
		Sessions:           max(2, runtime.GOMAXPROCS(0)),
		Interval:           100 * time.Millisecond,
		MaxRecords:         50_000,
		MaxBytes:           16 << 20,
		FetchBytes:         512 << 10,
		TransactionTimeout: 10 * time.Second,
		SessionTimeout:     10 * time.Second,
		Drain:              20 * time.Second,
	}
}

// Validate joins every problem, with its value and its bounds.
func (c Config) Validate() error {
	var r stage.Ranges
	stage.Between(&r, "Sessions", c.Sessions, 1, 64)
	stage.Between(&r, "TransactionTimeout", c.TransactionTimeout, time.Second, 15*time.Minute)
	stage.Between(&r, "Interval", c.Interval, time.Millisecond, c.TransactionTimeout/2)
	stage.Between(&r, "MaxRecords", c.MaxRecords, 1, 1_000_000)
	stage.Between(&r, "MaxBytes", c.MaxBytes, 64<<10, 1<<30)
	stage.AtLeast(&r, "Rate", c.Rate, 0)
	stage.Between(&r, "FetchBytes", c.FetchBytes, 64<<10, 1<<30)
	stage.Between(&r, "SessionTimeout", c.SessionTimeout, 6*time.Second, 30*time.Minute)
	stage.Between(&r, "Drain", c.Drain, 0, time.Hour)
	return r.Err()
}
