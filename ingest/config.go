package ingest

import (
	"net/http"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// Config is how ingest runs; what it fetches is in the pipeline file.
type Config struct {
	// A transaction takes pages for CommitInterval at most, 1 ms–5 s; it ends before, if none is there and the pace
	// allows it (stage.Pace).
	CommitInterval     time.Duration
	TransactionBytes   int64         // of records in one transaction, from 1 MiB; a larger page commits in several
	PageMemoryBytes    int64         // a page up to this is in memory, a larger one in a temporary file; from 64 KiB
	MemoryBytes        int64         // PageMemoryBytes or more: ¾ for pages, beyond they go to a file; ¼ for transactions
	TempDir            string        // for the file; empty: the system's
	RememberedRecords  int           // per slice: hashes of written records, to recognise an unchanged one; 0: none
	RememberedInAll    int           // for all slices of the process, about 100 bytes each; RememberedRecords or more
	SessionTimeout     time.Duration // a process that is silent for so long loses its slices, 6 s–5 min
	TransactionTimeout time.Duration // the broker aborts an open transaction then, 5 s–15 min; readers of raw wait
	Drain              time.Duration // what stopping may take, more than 0
	Once               bool          // the first pass of each slice is due at once, whatever ingest.every says

	// Transport is given the connections of the process and returns what requests go through; nil: they go there as they
	// are. It is called once for each set of TLS settings.
	Transport func(http.RoundTripper) http.RoundTripper
}

// DefaultConfig suits one process with up to some hundred slices.
func DefaultConfig() Config {
	return Config{
		CommitInterval:     100 * time.Millisecond,
		TransactionBytes:   8 << 20,
		PageMemoryBytes:    4 << 20,
		MemoryBytes:        64 << 20,
		RememberedRecords:  200_000,
		RememberedInAll:    1_000_000,
		SessionTimeout:     10 * time.Second,
		TransactionTimeout: 15 * time.Second,
		Drain:              20 * time.Second,
	}
}

// Validate joins every problem, with its value and its bounds.
func (c Config) Validate() error {
	var r stage.Ranges
	stage.Between(&r, "CommitInterval", c.CommitInterval, time.Millisecond, 5*time.Second)
	stage.AtLeast(&r, "TransactionBytes", c.TransactionBytes, 1<<20)
	stage.AtLeast(&r, "PageMemoryBytes", c.PageMemoryBytes, 64<<10)
	stage.AtLeast(&r, "MemoryBytes", c.MemoryBytes, c.PageMemoryBytes)
	stage.AtLeast(&r, "RememberedRecords", c.RememberedRecords, 0)
	stage.AtLeast(&r, "RememberedInAll", c.RememberedInAll, c.RememberedRecords)
	stage.Between(&r, "SessionTimeout", c.SessionTimeout, 6*time.Second, 5*time.Minute)          // as brokers allow
	stage.Between(&r, "TransactionTimeout", c.TransactionTimeout, 5*time.Second, 15*time.Minute) // as brokers allow
	stage.AtLeast(&r, "Drain", c.Drain, time.Nanosecond)
	return r.Err()
}
