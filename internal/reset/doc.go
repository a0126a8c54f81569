// Package reset sets the positions of a stream in its API back, so that everything is fetched and written again, and
// then deletes what a complete pass did not show any more. It works beside running ingests, and without.
//
// [Run] claims the partitions of ingest's state that have slices of the stream, which fences their owners, and replaces
// the cursors; what was remembered of earlier records is dropped, so that nothing counts as unchanged. Owners read in
// the control topic that it was done, and claim again.
//
// [Sweep.Delete] writes tombstones to the raw topic. A record of the key may come while it looks. So it looks first,
// then decides in the control topic that nothing is fetched, fences the owners, which read that decision before they
// fetch again, and looks at the rest; only then it writes, and lets ingest go on.
//
// A death between any two steps is cured by running the command again: which step is due is in the control topic.
package reset
