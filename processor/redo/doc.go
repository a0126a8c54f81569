// Package redo finds out which raw records are to be processed again, so that a table becomes what a logic makes of
// them while live processing goes on beside: for each key its newest record, and where that is refused also its newest
// good one. To process all records again would not do. An older revision would make a row that only the newest, whose
// mark may have aged out, takes away again; and if the range ends before, nothing does.
//
// It knows raw records, and neither Kafka nor tables.
package redo
