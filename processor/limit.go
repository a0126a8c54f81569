package processor

import "sync/atomic"

// limit is how many raw records a transaction may have. The brokers may be unable to take Config.MaxRecords before they
// abort the transaction: over a slow link, or under a quota. So each transaction that fails halves the limit, and each
// that ends in good time doubles it. The sessions share it.
type limit struct {
	most int
	now  atomic.Int64
}

func newLimit(most int) *limit {
	l := &limit{most: most}
	l.now.Store(int64(most))
	return l
}

func (l *limit) get() int { return int(l.now.Load()) }

// lower is called after a transaction of that many records failed.
func (l *limit) lower(failed int) { l.now.Store(int64(max(1, failed/2))) }

// raise is called after a transaction that was allowed that many records ended in good time.
func (l *limit) raise(allowed int) { l.now.Store(int64(min(l.most, 2*allowed))) }
