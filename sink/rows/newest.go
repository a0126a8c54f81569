package rows

import (
	"bytes"
	"cmp"
	"slices"
)

// Share is what is left of a batch for one table: per key the newest change, in the order of the table's primary key.
type Share struct {
	Table      *Table
	Upserts    []*Change
	Removes    []*Change
	HadRow     map[string]bool // raw keys of several changes, one with a row: a removal has to be marked
	Superseded int             // changes that are left out, because a newer one is there
}

// Newest reduces the changes of a batch to the newest good one of each raw key, by table. A record that can never be
// stored is not good, and the key keeps what it had.
func Newest(batch ...[]Change) []*Share {
	total := 0
	for _, changes := range batch {
		total += len(changes)
	}
	byTable := map[*Table]*Share{}
	newest := map[*Table]map[string]*Change{}
	var all []*Share
	for _, changes := range batch {
		for i := range changes {
			x := &changes[i]
			if x.Reason != nil {
				continue
			}
			s := byTable[x.Table]
			if s == nil {
				s = &Share{Table: x.Table, HadRow: map[string]bool{}}
				byTable[x.Table] = s
				newest[x.Table] = make(map[string]*Change, total)
				all = append(all, s)
			}
			s.meet(newest[x.Table], x)
		}
	}
	for _, changes := range batch {
		for i := range changes {
			x := &changes[i]
			switch s := byTable[x.Table]; {
			case x.Reason != nil || x.superseded:
			case x.Remove:
				s.Removes = append(s.Removes, x)
			default:
				s.Upserts = append(s.Upserts, x)
			}
		}
	}
	for _, s := range all {
		inKeyOrder(s.Upserts)
		inKeyOrder(s.Removes)
	}
	slices.SortFunc(all, func(a, b *Share) int { return cmp.Compare(a.Table.Name, b.Table.Name) })
	return all
}

// Written reports whether x is an upsert that is left of its batch, after Newest.
func (x *Change) Written() bool { return x.Reason == nil && !x.Remove && !x.superseded }

// meet compares x with the newest change of its key so far.
func (s *Share) meet(newest map[string]*Change, x *Change) {
	x.superseded = false
	if old, ok := newest[string(x.Record.Key)]; ok {
		s.Superseded++
		if !old.Remove || !x.Remove {
			s.HadRow[string(x.Record.Key)] = true
		}
		if bytes.Compare(x.Version[:], old.Version[:]) <= 0 {
			x.superseded = true
			return
		}
		old.superseded = true
	}
	newest[string(x.Record.Key)] = x
}
