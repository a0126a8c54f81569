package sink

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/topics"
)

// claim is one partition of a processed topic that this process owns, from its claim until it is revoked or
// another takes it over. Its position is moved by the writer that has the partition.
type claim struct {
	topic  string
	part   int32
	table  *table
	token  [16]byte
	next   int64   // the next offset, as in millrace_offsets
	high   [8]byte // highest raw epoch and offset applied, as there
	polled int64   // the next offset to be polled; the loop's alone
	writer int

	connection uint64 // that millrace_offsets says writes it: whoever takes over ends it

	revoked atomic.Bool // no longer ours
	reclaim time.Time   // when to claim it again, if it is revoked and the group still assigns it to us
}

func (c *claim) String() string { return fmt.Sprintf("%s[%d]", c.topic, c.part) }

// batch is what one writer applies in one transaction.
type batch struct {
	moves   []move // by topic and partition
	changes []change
}

// move takes a claim's position over the batch.
type move struct {
	claim *claim
	from  int64 // where its first record was polled: must be the claim's next offset, or records are missing
	next  int64
	high  [8]byte
}

// note adds a record's raw position to the move, and says whether it was applied before.
func (m *move) note(version topics.Version) (late bool) {
	position := version.Position()
	if bytes.Compare(position[:], m.high[:]) <= 0 {
		return true
	}
	m.high = position
	return false
}

// part is what is left of a batch for one table: per key the newest change, in the order of the table's primary key.
type part struct {
	table   *table
	upserts []*change
	removes []*change
	had     map[string]bool // raw keys of several changes, of which one had a row: if it is removed, it has to be marked
	stale   int
}

// parts reduces changes to the newest good one of each raw key. A record that can never be stored is not good, and the
// key keeps what it had.
func parts(changes []change) []*part {
	byTable := map[*table]*part{}
	newest := map[*table]map[string]*change{}
	var all []*part
	for i := range changes {
		x := &changes[i]
		if x.reason != nil {
			continue
		}
		p := byTable[x.table]
		if p == nil {
			p = &part{table: x.table, had: map[string]bool{}}
			byTable[x.table] = p
			newest[x.table] = make(map[string]*change, len(changes))
			all = append(all, p)
		}
		m := newest[x.table]
		x.outdone = false
		old, ok := m[string(x.record.Key)]
		if ok {
			p.stale++
			if !old.remove || !x.remove {
				p.had[string(x.record.Key)] = true
			}
			if bytes.Compare(x.version[:], old.version[:]) <= 0 && !mutant.Off(mutant.RowVersions) {
				x.outdone = true
				continue
			}
			old.outdone = true
		}
		m[string(x.record.Key)] = x
	}
	for i := range changes {
		x := &changes[i]
		switch p := byTable[x.table]; {
		case x.reason != nil || x.outdone:
		case x.remove:
			p.removes = append(p.removes, x)
		default:
			p.upserts = append(p.upserts, x)
		}
	}
	for _, p := range all {
		inKeyOrder(p.upserts)
		inKeyOrder(p.removes)
	}
	slices.SortFunc(all, func(a, b *part) int { return cmp.Compare(a.table.name, b.table.name) })
	return all
}

// inKeyOrder sorts by the literals of the primary key: InnoDB writes neighbours together, and two writers take
// locks in the same order. Keys of a batch begin alike, so the eight bytes after that decide nearly always.
func inKeyOrder(changes []*change) {
	type keyed struct {
		head uint64
		*change
	}
	if len(changes) < 2 {
		return
	}
	common, byLength := len(changes[0].pk), changes[0].table.columns[changes[0].table.key[0]].kind == kindInteger
	for _, x := range changes {
		common = min(common, len(x.pk))
		for string(x.pk[:common]) != string(changes[0].pk[:common]) {
			common--
		}
	}
	all := make([]keyed, len(changes))
	for i, x := range changes {
		var head [8]byte
		if byLength { // 9 before 10
			head[0] = byte(min(len(x.pk), 255))
			copy(head[1:], x.pk[common:])
		} else {
			copy(head[:], x.pk[common:])
		}
		all[i] = keyed{binary.BigEndian.Uint64(head[:]), x}
	}
	slices.SortFunc(all, func(a, b keyed) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		return bytes.Compare(a.pk, b.pk)
	})
	for i := range all {
		changes[i] = all[i].change
	}
}

// rawKey is how a mark names a key: the first 16 bytes of its SHA-256.
func rawKey(key []byte) [16]byte {
	sum := sha256.Sum256(key)
	return [16]byte(sum[:16])
}
