package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Config is how ingest runs; what it fetches is in the pipeline file.
type Config struct {
	CommitInterval     time.Duration // a transaction takes pages for so long at most, 1 ms–5 s; it is also what a commit adds to a record's delay
	TransactionBytes   int64         // of records in one transaction, from 1 MiB; a page larger than this commits in several
	PageMemoryBytes    int64         // a page up to this is held in memory, a larger one in a temporary file; from 64 KiB
	MemoryBytes        int64         // all pages of the process in memory together; beyond, pages go to temporary files
	TempDir            string        // for those; empty: the system's
	RememberedRecords  int           // per slice: hashes of written records, so that an unchanged one is not written again; 0: none
	RememberedInAll    int           // the same for all slices of the process together; about 100 bytes each
	SessionTimeout     time.Duration // a process that is silent for so long loses its slices, 6 s–5 min
	TransactionTimeout time.Duration // a transaction open for so long is aborted by the broker, from 5 s; readers of raw wait for it
	Drain              time.Duration // what stopping may take
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

// Validate reports every field that is out of its range.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("ingest: %s is %v, want %s", field, value, want))
		}
	}
	check(c.CommitInterval >= time.Millisecond && c.CommitInterval <= 5*time.Second, "CommitInterval", c.CommitInterval, "1ms to 5s")
	check(c.TransactionBytes >= 1<<20, "TransactionBytes", c.TransactionBytes, "1 MiB or more")
	check(c.PageMemoryBytes >= 64<<10, "PageMemoryBytes", c.PageMemoryBytes, "64 KiB or more")
	check(c.MemoryBytes >= c.PageMemoryBytes, "MemoryBytes", c.MemoryBytes, "PageMemoryBytes or more")
	check(c.RememberedRecords >= 0, "RememberedRecords", c.RememberedRecords, "0 or more")
	check(c.RememberedInAll >= c.RememberedRecords, "RememberedInAll", c.RememberedInAll, "RememberedRecords or more")
	check(c.SessionTimeout >= 6*time.Second && c.SessionTimeout <= 5*time.Minute, "SessionTimeout", c.SessionTimeout, "6s to 5m, the range that brokers allow")
	check(c.TransactionTimeout >= 5*time.Second && c.TransactionTimeout <= 15*time.Minute, "TransactionTimeout", c.TransactionTimeout, "5s to 15m, the most that brokers allow")
	check(c.Drain > 0, "Drain", c.Drain, "more than 0")
	return errors.Join(errs...)
}
