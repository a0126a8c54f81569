package mutants

// RepairsTests are the tests that see the mutants of [Repairs] red, by name.
var RepairsTests = map[string]RedTest{
	CompletePass: {"./internal/reset", "TestAPassThatFailsSweepsNothing", ""},
	NewestEdited: {"./internal/tool", "TestDLQExportAndImport", ""},

	ClosedWithEdit: {"./internal/letters", "TestEditsAreCutAtEachRequest", ""},
	ClosedBehind:   {"./internal/replay", "TestALetterIsClosedBehindWhatItBrings", ""},
}

// Repairs is the mutants of commands that put a table right: sweeps, edits and retries of dead letters.
var Repairs = []Mutant{
	{
		Name: CompletePass, // a sweep takes for gone what the pass has not shown so far
		Edits: []Edit{{
			File: "internal/reset/wait.go",
			Old:  "		if now.Complete == now.Slices {\n",
			New:  "		if now.Complete <= now.Slices {\n",
		}},
	},
	{
		Name: NewestEdited, // an edit of a letter is written although its key has a newer raw record
		Edits: []Edit{{
			File: "internal/letters/edit.go",
			Old:  "r.Partition == l.Position.Partition && r.Offset == l.Position.Offset {",
			New:  "r.Partition == l.Position.Partition && r.Offset >= l.Position.Offset {",
		}},
	},
	{
		// a letter is closed by a producer of its own, outside of the transaction that writes the edited record
		Name: ClosedWithEdit,
		Edits: []Edit{{
			File: "internal/letters/edit.go",
			Old:  "		err = w.producer.ProduceSync(ctx, closing...).FirstErr()\n",
			New: "		var other *kgo.Client\n		if other, err = kgo.NewClient(append(slices.Clone(w.Control.Client), kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err == nil {\n" +
				"			err = other.ProduceSync(ctx, closing...).FirstErr()\n			other.Close()\n		}\n",
		}},
	},
	{
		Name: ClosedBehind, // a retry closes its letters before it has processed anything again
		Edits: []Edit{{
			File: "internal/replay/run.go",
			Old:  "	case control.Running:\n",
			New:  "	case control.Running:\n		if err := r.closeLetters(ctx, *s.Redo); err != nil {\n			return err\n		}\n",
		}},
	},
}
