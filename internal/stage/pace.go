package stage

import "time"

// Pace says when a transaction to which there is nothing left to add may end: at once where a stage has little to do,
// so that no record waits for more that may never come. Each transaction costs something for itself, for each partition
// that it touches and for each record; Pace lets it end only once that much time has passed since the one before it
// ended. So a stage commits at most 100 times in a second, less often over many partitions, and, from 20,000 records in
// a second on, once in an interval. It is for one goroutine.
type Pace struct {
	Interval time.Duration // a transaction takes more for so long at most

	began, ended time.Time
}

const (
	perTransaction = 10 * time.Millisecond
	perPartition   = 250 * time.Microsecond
	perRecord      = 50 * time.Microsecond
)

// Gap is how much time there is to be between the ends of two transactions, the second over so many records and
// partitions.
func Gap(records, partitions int) time.Duration {
	return max(perTransaction, time.Duration(partitions)*perPartition, time.Duration(records)*perRecord)
}

// Begin notes that a transaction begins.
func (p *Pace) Begin() { p.began = time.Now() }

// End notes that it takes nothing more: its commit begins.
func (p *Pace) End() { p.ended = time.Now() }

// Left is how long the transaction is to wait yet for something to be added, if there is nothing now. At 0 it may end.
func (p *Pace) Left(records, partitions int) time.Duration {
	left := time.Until(p.ended.Add(Gap(records, partitions)))
	return max(0, min(left, p.Rest()))
}

// Rest is what is left of the interval. At 0 the transaction ends whatever there is.
func (p *Pace) Rest() time.Duration { return max(0, time.Until(p.began.Add(p.Interval))) }
