package rows

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// Change is what a processed record does to its table. Its values live in the memory of the [Decoder] that made it.
type Change struct {
	Table   *Table
	Record  *kgo.Record
	Version topics.Version
	Valid   bool   // Version is one
	Epoch   uint16 // of the table, by which Version is raised
	Late    bool   // at a raw position that was applied already: a mark may forbid it
	Remove  bool   // the record has no rows
	Marking bool   // its removal leaves a mark, whatever it meets
	Row     Values // of an upsert: the values of all columns, in their order, without the version's
	Key     Values // the values of the key columns, in their order
	Reason  error  // not nil: it can never be stored

	superseded bool // its batch has a newer one of the same raw key
}
