// Package changelog keeps a state in a partition of a compacted topic, and commits its changes in one Kafka transaction
// with the records that they belong to. Many processes may want the partition; one at a time can write it.
//
// Whoever [Claim]s a partition initialises its transactional id: from then on the brokers refuse the owner before, and
// abort what it had open (KIP-98; KIP-360). Then the state is restored, and each [Transaction] appends to it.
//
// After an error, a claim is given up and the partition claimed again: the partition is what is true, never the memory.
// So it does not matter what became of a commit that had no answer.
package changelog
