package mutants

// SwapsTests are the tests that see the mutants of [Swaps] red, by name.
var SwapsTests = map[string]RedTest{
	FreezeLive:   {"./sink", "TestSQLite/Swaps/Steps", ""},
	FreezeOther:  {"./sink", "TestSQLite/Swaps/Steps", ""},
	ClaimHeeds:   {"./sink", "TestSQLite/Swaps/Steps", ""},
	RenamedStays: {"./sink", "TestSQLite/Swaps/ARenameThatHappenedIsFinished", ""},
	NameOfBefore: {"./sink", "TestSQLite/Swaps/Steps", ""},
	DiffBytes:    {"./sink", "TestSQLite/Differences/AreFoundAndNoOthers", ""},
	SecondLook:   {"./sink", "TestSQLite/Differences/ThatPassAreNone", ""},
	BarrierFirst: {"./internal/swap", "TestALineThatDoesNotCatchUp", ""},

	OneConnection: {"./sink", "TestSQLite/Swaps/KilledAtEachStatement", ""},
	OneDecider:    {"./topics/control", "TestEachDecisionSeesTheOnesBefore", ""},
	HighBarrier:   {"./internal/swap", "TestWhatALineRefusedIsNotWaitedFor", ""},
	WholeBarrier:  {"./internal/lines", "TestABarrierLooksAtTheWatermark", ""},
	Kill:          {"./sink", "TestADriverThatWaitsIsKilled", "integration"},
	GuardedTrial:  {"./sink", "TestRowsAreTriedInTheirOwnTableOnly", "integration"},
}

// Swaps is the mutants of swaps and comparisons of two tables.
var Swaps = []Mutant{
	{
		Name: FreezeLive, // the live line goes on while the other one comes as far
		Edits: []Edit{{
			File: "sink/swap.go",
			Old:  "		return s.disown(ctx, x.From)\n",
			New:  "		return nil\n",
		}},
	},
	{
		Name: FreezeOther, // the other line goes on while the tables are renamed
		Edits: []Edit{{
			File: "sink/swap.go",
			Old:  "		return s.disown(ctx, x.To)\n",
			New:  "		return nil\n",
		}},
	},
	{
		Name: ClaimHeeds, // a claim does not look whether its table is being swapped
		Edits: []Edit{{
			File: "sink/owner.go",
			Old:  "s.swapping(ctx, conn, all)",
			New:  "s.swapping(ctx, conn, nil)",
		}},
	},
	{
		Name: RenamedStays, // whoever ends a swap clears it, though the tables have been renamed
		Edits: []Edit{{
			File: "sink/swap_end.go",
			Old:  "	if !there(x.From.Table) {\n",
			New:  "	if there(x.From.Table) || !there(x.From.Table) {\n",
		}},
	},
	{
		Name: NameOfBefore, // a sink claims a table by the name that it had before the swap
		Edits: []Edit{{
			File: "sink/swapped.go",
			Old:  "	return elsewhere(t, all[t.Stream]), err\n",
			New:  "	return elsewhere(t, all[\"\"]), err\n",
		}},
	},
	{
		Name: DiffBytes, // values are compared by a collation
		Edits: []Edit{{
			File: "sink/diff.go",
			Old:  "	return d.store.dialect.Same(p.by, \"a.\"+name, \"b.\"+name)\n",
			New:  "	return \"(a.\" + name + \" IS b.\" + name + \" COLLATE NOCASE)\"\n",
		}},
	},
	{
		Name: SecondLook, // what differs differs, although one line may only be behind
		Edits: []Edit{{
			File: "sink/diff_look.go",
			Old:  "	case r.versions != was.versions && !d.ofOneRecord(r):\n",
			New:  "	case r.versions != was.versions && len(r.key) == 0:\n",
		}},
	},
	{
		Name: BarrierFirst, // the tables are renamed although the other line is behind
		Edits: []Edit{{
			File: "internal/swap/barrier.go",
			Old:  "		if passed && err == nil {\n",
			New:  "		if passed || err == nil {\n",
		}},
	},
	{
		Name: OneConnection, // the driver goes on by another connection, which does not have the lock
		Edits: []Edit{
			{
				File: "sink/swap_session.go",
				Old:  "	if s.conn == nil {\n		return 0, errNoConnection\n	}\n	done, err :=",
				New:  "	if s.conn == nil {\n		if s.conn, err = s.store.db.Conn(ctx); err != nil {\n			return 0, err\n		}\n	}\n	done, err :=",
			},
			{
				File: "sink/swap_session.go",
				Old:  "err = cmp.Or(err, errNoConnection)",
				New:  "s.conn, err = s.store.db.Conn(ctx)\n			err = cmp.Or(err)",
			},
		},
	},
	{
		Name: OneDecider, // any number of processes decide at the same time
		Edits: []Edit{{
			File: "topics/control/change.go",
			Old:  "TransactionalID: d.topic, TransactionTimeout",
			New:  "TransactionalID: rand.Text(), TransactionTimeout",
		}},
	},
	{
		// the end of the processed topic is the last stable offset, which may lag behind what is committed
		Name: WholeBarrier,
		Edits: []Edit{{
			File: "internal/lines/gauge.go",
			Old:  "admin.Ends(ctx, kadm.NewClient(b.gauge.cl), topics.Processed(b.gauge.line.Name, b.gauge.stream));",
			New: "func() (map[int32]int64, error) {\n			all, err := kadm.NewClient(b.gauge.cl).ListCommittedOffsets(ctx, " +
				"topics.Processed(b.gauge.line.Name, b.gauge.stream))\n			out := map[int32]int64{}\n" +
				"			all.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })\n			return out, err\n		}();",
		}},
	},
	{
		Name: HighBarrier, // a line is as far as the newest raw record that is a row of its table
		Edits: []Edit{{
			File: "internal/lines/gauge.go",
			Old:  "	left, err := b.gauge.Unwritten(ctx, b.processed)\n	return err == nil && left == 0, err\n",
			New: "	applied, err := b.gauge.db.Applied(ctx, b.gauge.stream, b.gauge.view.Stream(b.gauge.stream))\n" +
				"	for partition, goal := range b.raw {\n		if applied[partition] < goal {\n			return false, err\n		}\n	}\n	return err == nil, err\n",
		}},
	},
	{
		Name: Kill, // a driver that stands still is taken for dead, and may rename the tables afterwards
		Edits: []Edit{{
			File: "sink/swap_end.go",
			Old:  "	if err := s.dialect.EndHolder(",
			New:  "	if s.conn != nil {\n		return true, nil\n	}\n	if err := s.dialect.EndHolder(",
		}},
	},
	{
		Name: GuardedTrial, // rows are tried in whatever table has the name
		Edits: []Edit{{
			File: "sink/isolate.go",
			Old:  "	if err = w.stillHeld(ctx, b.moves); err == nil {\n",
			New:  "	if err = w.stillHeld(ctx, b.moves); found {\n",
		}},
	},
}
