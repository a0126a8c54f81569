package known

import "github.com/millrace-io/millrace/ingest/cursor"

// Rule says how much a complete read may delete, and how its pages follow one another.
type Rule struct {
	AtMost float64 // percent of the known keys
	// Steady says that no record can slip between two pages while others come and go: a read of one page, pages in the
	// order of the key, or what the pipeline file says is so.
	Steady bool
	InTurn bool // a page is asked for when the one before has come
	// Allowed is how many keys may go whatever AtMost says, in the place of those that were held since a pass.
	Allowed func(since, held int64) (keys int64)
}

// Verdict is what a complete read has shown.
type Verdict struct {
	Gone  []uint64     // hashes of the keys to delete
	Held  []uint64     // some of the keys that Rule.AtMost holds
	Known cursor.Known // after it
}

// Few is how many keys a Verdict holds by name at most.
const few = 3

// slippingTold is after how many reads in a row a person is told that keys may have slipped.
const slippingTold = 3

// Judge says what the read under way, whose last page was seen, has not shown any more; why is why it does not count,
// and empty if it does. It may be called once for a read.
//
// Where records are created and deleted while a list is read page by page, one that is there can slip from a page that
// is still to come into one that was read, and is not shown. Then either another key came twice, or one that the read
// has shown is not shown by the next: the deleted one, which pulled the rest forward. So what a read has not shown is
// gone for sure once the next complete read shows all that this one has shown, if no key came twice. Where pages are
// fetched at the same time, not in turn, a record that is created can push another into a page that was read; so then
// no key may have been new, either. Of a key that was shown later than a read, that read proves nothing.
func (k *Keys) Judge(before cursor.Known, r Rule) (v Verdict, why string) {
	if k.blinded != "" {
		return Verdict{Known: before}, k.blinded
	}
	proven := r.Steady ||
		before.Read > 0 && !before.Loose && before.Sum == k.sum && before.Keys == k.shown-k.fresh
	v.Known = cursor.Known{
		Era: before.Era, Base: before.Base, Whole: before.Whole, Read: k.pass, Keys: k.shown, Loose: k.twice || !r.InTurn && k.fresh > 0,
	}
	gone, later, sum := k.notShown(r)
	v.Known.Sum = sum
	n := int64(len(gone))
	switch v.Known.Left = later; {
	case n == 0:
	case !proven:
		v.Known.Left, v.Known.Slipping = n+later, before.Slipping+1
		v.Known.Held = before.Held
	case r.holds(before.Held, n, int64(len(k.index)), k.shown):
		v.Known.Left, v.Held = n+later, gone[:min(n, few)]
		v.Known.Held = &cursor.Held{Since: k.pass, Keys: n, Of: int64(len(k.index))}
		if h := before.Held; h != nil && n <= h.Keys {
			v.Known.Held, v.Held = h, nil // as was told
		}
	default:
		v.Gone = gone
	}
	k.read, k.pass, k.left = k.pass, 0, v.Known.Left > 0
	return v, ""
}

// notShown are the keys that the read has not shown, without those that were shown after the read before, which are
// only counted in later; sum is over those that it has shown.
func (k *Keys) notShown(r Rule) (gone []uint64, later int64, sum uint64) {
	for id, e := range k.index {
		shown := e.seen == uint32(k.pass)
		switch {
		case shown:
			sum += mix(id)
		case e.flags&isLater != 0 && !r.Steady:
			later++
		default:
			gone = append(gone, id)
		}
		was := e.flags
		if e.flags &^= isLater; shown {
			e.flags &^= isFresh
		}
		if e.flags != was {
			k.index[id] = e
		}
	}
	return gone, later, sum
}

// Slips reports whether a person should know that keys are left because they may have slipped between two pages.
func Slips(k cursor.Known) bool { return k.Slipping >= slippingTold }

// holds reports whether n of all keys are too many to go at once. One may always go, unless nothing else is there.
func (r Rule) holds(held *cursor.Held, n, all, shown int64) bool {
	if float64(n)*100 <= r.AtMost*float64(all) || n == 1 && shown > 0 {
		return false
	}
	return held == nil || r.Allowed == nil || n > r.Allowed(held.Since, held.Keys)
}
