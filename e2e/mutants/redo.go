package mutants

// RedoTests are the tests, of package internal/replay, that see the mutants of [Redo] red, by name.
var RedoTests = map[string]string{
	Index: "TestMarkAgedOut", IndexToTheCut: "TestFilteredThenDeleted", Marking: "TestDeletedDuringAReplay", OlderGood: "TestNewestIsRefused",
}

// Redo is the mutants of a redo. Their tests are those of internal/replay, which need no servers.
var Redo = []Mutant{
	{
		Name: Index, // all records of the range are processed again, not only the newest of their keys
		Edits: []Edit{{
			File: "processor/redo/index.go",
			Old:  "	at := position{version.Source(), r.Offset}\n",
			New:  "	if r.Offset >= b.From && r.Offset < b.To {\n		b.marks.set(r.Offset)\n	}\n	at := position{version.Source(), r.Offset}\n",
		}},
	},
	{
		Name: Marking, // removals of keys without a row leave no mark
		Edits: []Edit{{
			File: "sink/remove.go",
			Old:  "marked || x.Marking ||",
			New:  "marked ||",
		}},
	},
	{
		Name: IndexToTheCut, // it looks no further than the range
		Edits: []Edit{{
			File: "processor/redo/index.go",
			Old:  "log.Read(ctx, b.base, r.Cut, b.add)",
			New:  "log.Read(ctx, b.base, r.To, b.add)",
		}},
	},
	{
		Name: OlderGood, // where the newest record is refused, no older one is looked for
		Edits: []Edit{{
			File: "processor/redo/index.go",
			Old:  "	if e.good != none {\n		b.marks.set(e.good.offset)\n	}\n",
			New:  "",
		}},
	},
}
