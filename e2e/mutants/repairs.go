package mutants

// RepairsTests are the tests that see the mutants of [Repairs] red, by name.
var RepairsTests = map[string]RedTest{
	CompletePass: {"./internal/reset", "TestAPassThatFailsSweepsNothing", ""},
	NewestEdited: {"./internal/tool", "TestDLQExportAndImport", ""},
}

// Repairs is the mutants of commands that put a table right: sweeps, and edits of dead letters.
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
}
