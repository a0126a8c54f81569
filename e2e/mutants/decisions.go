package mutants

// DecisionsTests are the tests that see the mutants of [Decisions] red, by name.
var DecisionsTests = map[string]RedTest{
	ProducerFirst:    {"./processor", "TestWhatIsDecidedBeforeASessionBegins", ""},
	OffsetMetadata:   {"./processor", "TestGroupMovedByATool", ""},
	Fence:            {"./processor", "TestAChangeOfLogicFencesWhatIsOpen", ""},
	LookAgain:        {"./processor", "TestAFencedSessionLooksAgain", ""},
	FenceBeforeCut:   {"./internal/replay", "TestTheCutIsReadBehindTheFence", ""},
	MarkingBeforeCut: {"./internal/replay", "TestRemovalsAreMarkedBeforeTheCut", ""},
	KeptMarks:        {"./sink", "TestSQLite/Admin/NoMarkIsPrunedDuringARedo", ""},
}

// RedTest is a test that fails with a mutant.
type RedTest struct {
	Package, Name string
	Tags          string // build tags, by commas: "integration" of one that needs servers
}

// Decisions is the mutants of what holds the decisions of the control topic, the processors and the tables together.
// Their tests need no servers.
var Decisions = []Mutant{
	{
		Name: ProducerFirst, // a session reads the control topic, and then initialises its producer
		Edits: []Edit{{
			File: "processor/session.go",
			Old: `	if _, _, err := s.kafka.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("initialise producer %s: %w", id, err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
`,
			New: `	if err := s.begin(ctx); err != nil {
		return err
	}
	if _, _, err := s.kafka.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("initialise producer %s: %w", id, err)
	}
`,
		}},
	},
	{
		Name: OffsetMetadata, // whatever the group has committed counts
		Edits: []Edit{{
			File: "topics/control/position.go",
			Old:  "	position, ours := topics.ParsePosition(metadata)\n	moved,",
			New:  "	if offset >= 0 {\n		return offset, nil\n	}\n	position, ours := topics.ParsePosition(metadata)\n	moved,",
		}},
	},
	{
		Name: Fence, // transactions of the logic before may commit after the change
		Edits: []Edit{{
			File: "processor/register.go",
			Old:  "	if err != nil || !slices.Contains(slices.Collect(maps.Values(added)), true) {\n",
			New:  "	if err != nil || len(added) >= 0 {\n",
		}},
	},
	{
		Name: LookAgain, // a session goes on after an abort, whatever was decided
		Edits: []Edit{{
			File: "processor/transaction.go",
			Old:  "	if err == nil {\n		err = s.reread(ctx)\n	}\n",
			New:  "",
		}},
	},
	{
		Name: FenceBeforeCut, // the cut is read, and then transactions of the logic before end
		Edits: []Edit{
			{
				File: "internal/replay/marking.go",
				Old:  "		if redo.Fence {\n",
				New:  "		cut, err := r.cut(ctx, redo)\n		if err != nil {\n			return err\n		}\n		if redo.Fence {\n",
			},
			{
				File: "internal/replay/marking.go",
				Old:  "		cut, err := r.cut(ctx, redo)\n		if err != nil {\n			return err\n		}\n		running,",
				New:  "		running,",
			},
		},
	},
	{
		Name: MarkingBeforeCut, // the cut is read, and then removals leave marks
		Edits: []Edit{
			{
				File: "internal/replay/marking.go",
				Old:  "	redo := *s.Redo\n	if err := r.Persist(",
				New:  "	redo := *s.Redo\n	cut, err := r.cut(ctx, redo)\n	if err != nil {\n		return err\n	}\n	if err := r.Persist(",
			},
			{
				File: "internal/replay/marking.go",
				Old:  "		cut, err := r.cut(ctx, redo)\n		if err != nil {\n			return err\n		}\n		running,",
				New:  "		running,",
			},
		},
	},
	{
		Name: KeptMarks, // marks age during a redo too
		Edits: []Edit{{
			File: "sink/dialect/sqlite/sqlite.go",
			Old:  "			AND NOT EXISTS (SELECT 1 FROM millrace_owners WHERE stream = ? AND marking > 0) LIMIT `",
			New:  "			AND NOT EXISTS (SELECT 1 FROM millrace_owners WHERE stream = ? AND marking > 65535) LIMIT `",
		}},
	},
}
