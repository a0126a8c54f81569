// Package grow gives the topics of a pipeline more partitions.
//
// A key's partition changes with their number. Raw offsets are versions of a key's records, and offsets of two
// partitions do not compare; and stages work on partitions at the same time, so that nothing would order the records of
// a key in its old partition and in its new one. So no key is left in two partitions: all raw records are written
// again, in their order, each to its new partition, and the ones of before are deleted. What comes from then on is of
// the next epoch of the raw topic, so that it wins against the rows.
//
//  1. draining: nothing is fetched any more, ingest is fenced, and processors and sinks do all that is there.
//  2. moving: processors stand and are fenced. The topics get their partitions, and the raw records below the ends of
//     before are written again. A record says where it was, so whoever goes on after a death finds in the topic itself
//     what is still to do.
//  3. cutting: what was written again is compared with what it is of, record by record, then the raw records of before
//     are deleted, and the processed ones that are in the table.
//  4. The next epoch is decided, and processors go on behind what was written again: the table has all of it.
//
// Each step is in the control topic before it begins, and may be done again. Ingest and processors stand until they are
// started with a file that has the new number.
package grow
