package mutants

// Ingest is the mutants of ingest.
var Ingest = []Mutant{
	{
		Name: CursorInTransaction, // it commits in a transaction of its own, after that of the records
		Edits: []Edit{{
			File: "ingest/transaction.go",
			Old: `	if err := t.appendState(); err != nil {
		return err
	}
`,
			New: `	if err := t.tx.Commit(t.ctx); err != nil {
		return err
	}
	var err error
	if t.tx, err = t.c.log.Begin(); err != nil {
		return err
	}
	if err := t.appendState(); err != nil {
		return err
	}
`,
		}},
	},
	{
		Name: Fencing, // each claim has a transactional id of its own
		Edits: []Edit{
			{
				File: "ingest/claims.go",
				Old:  `	id := topics.IngestTransactionalID(in.p.Name, partition)`,
				New:  `	id := fmt.Sprint(topics.IngestTransactionalID(in.p.Name, partition), ".", in.env.Instance, ".", in.started.UnixNano())`,
			},
			{File: "ingest/claims.go", Old: `	"context"`, New: `	"context"` + "\n\t" + `"fmt"`},
		},
	},
}
