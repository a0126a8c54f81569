package mutants

// Sink is the mutants of the sink, on MySQL.
var Sink = []Mutant{
	{Name: RowVersions, Edits: []Edit{
		{
			File: "sink/rows/newest.go",
			Old:  "if bytes.Compare(x.Version[:], old.Version[:]) <= 0 {",
			New:  "if bytes.Compare(x.Version[:], old.Version[:]) < -1 {", // never
		},
		{
			File: "sink/remove.go",
			Old:  `") AND "+rows.VersionColumn+" < "...)`,
			New:  `") AND "+rows.VersionColumn+" <> "...)`, // of another record
		},
		{
			File: "sink/dialect/mysql/upsert.go",
			Old:  `"%s = IF(%s > %s.%s, %s, %s.%s)"`,
			New:  `"%s = IF(%s > %s.%s OR 1, %s, %s.%s)"`,
		},
		{ // else a claim notices the older row, now and then, and the table is parked before anything else is seen
			File: "sink/witness.go",
			Old:  "			if there && bytes.Compare(is, w.version[:]) >= 0 {",
			New:  "			if there || bytes.Compare(is, w.version[:]) >= 0 {",
		},
	}},
	{Name: Marks, Edits: []Edit{
		{
			File: "sink/marks.go",
			Old:  "for group := range slices.Chunk(removed, marksAtOnce) {",
			New:  "for group := range slices.Chunk(removed[:0], marksAtOnce) {",
		},
		{
			File: "sink/marks.go",
			Old:  "if x.Late || s.Table.Versioned {",
			New:  "if x.Late && false {",
		},
	}},
	{Name: ExpectedOffset, Edits: []Edit{
		{
			File: "sink/dialect/mysql/statements.go",
			Old:  `" AND o.owner = m.owner AND o.next_offset = m.expected"`,
			New:  `" AND o.owner = m.owner AND (o.next_offset = m.expected OR 1)"`,
		},
		{
			// The sink goes on where the consumer group is, not where the rows are.
			File: "sink/claims.go",
			Old:  "out[topic][partition] = kgo.NewOffset().At(s.claims[topicPartition{topic, partition}].next)",
			New: "tp := topicPartition{topic, partition}\n" +
				"c := s.claims[tp]\n" +
				"c.next = max(offsets[topic][partition].EpochOffset().Offset, infos[tp].start)\n" +
				"c.polled = c.next\n" +
				"out[topic][partition] = kgo.NewOffset().At(c.next)",
		},
	}},
	{Name: Fencing, Edits: []Edit{
		{
			File: "sink/dialect/mysql/statements.go",
			Old:  `" AND o.owner = m.owner AND o.next_offset = m.expected"`,
			New:  `" AND (o.owner = m.owner OR 1) AND (o.next_offset = m.expected OR 1)"`,
		},
		{
			File: "sink/claim.go",
			Old:  "killed, failed := s.dialect.Evict(ctx, s.db, holders)",
			New:  "killed, failed := len(holders)+1, error(nil)",
		},
	}},
}
