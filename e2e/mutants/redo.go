package mutants

// RedoTests are the tests that see the mutants of [Redo] red, by name.
var RedoTests = map[string]RedTest{
	Index:         {Package: "./internal/replay", Name: "TestMarkAgedOut"},
	IndexToTheCut: {Package: "./internal/replay", Name: "TestFilteredThenDeleted"},
	Marking:       {Package: "./internal/replay", Name: "TestDeletedDuringAReplay"},
	OlderGood:     {Package: "./internal/replay", Name: "TestNewestIsRefused"},
	FromTheStart:  {Package: "./processor/redo", Name: "TestIndexIsThePlainModel"},
}

// Redo is the mutants of a redo. Their tests need no servers.
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
		Name: FromTheStart, // in a stream with versions of the source's, too, it looks no further back than the range
		Edits: []Edit{{
			File: "processor/redo/index.go",
			Old:  "	if r.Versioned {\n		b.base = r.Start\n	}\n",
			New:  "",
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
