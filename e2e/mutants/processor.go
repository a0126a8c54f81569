package mutants

// Processor is the mutants of the processor.
var Processor = []Mutant{
	{
		Name: OffsetsInTransaction,
		Edits: []Edit{{
			File: "processor/transaction.go",
			Old:  `committed, err := s.kafka.End(ctx, kgo.TransactionEndTry(failure == nil))`,
			New: `committed, err := false, error(nil)
	if failure == nil {
		cl := s.kafka.Client()
		if err = cl.EndTransaction(ctx, kgo.TryCommit); err == nil {
			err = cl.CommitUncommittedOffsets(ctx)
			committed = err == nil
		}
	} else {
		committed, err = s.kafka.End(ctx, kgo.TryAbort)
	}`,
		}},
	},
}
