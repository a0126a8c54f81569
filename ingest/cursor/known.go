package cursor

import "time"

// Known is what complete reads have shown of a slice. The keys themselves are beside the cursor in the state topic.
type Known struct {
	Era  int64 `json:"era"`  // keys count that were noted in this pass or later
	Base int64 `json:"base"` // so do the contents noted with them

	Read     int64  `json:"read"`            // number of the last complete read that counts; 0: none
	Sum      uint64 `json:"sum,omitempty"`   // of the hashes of the keys that it showed
	Keys     int64  `json:"keys"`            // how many these are
	Loose    bool   `json:"loose,omitempty"` // a key came twice, or was new while pages were fetched at the same time
	Left     int64  `json:"left,omitempty"`  // keys that it did not show, and that were not deleted
	Slipping int64  `json:"slipping,omitempty"`
	Held     *Held  `json:"held,omitempty"` // nil: nothing is
	// the last pass that asked for everything was begun by one process and ended by another: it tells nothing
	Torn bool `json:"torn,omitempty"`

	Whole time.Time `json:"whole,omitzero"` // start of the last pass that asked for everything and has ended
}

// Held is keys that are not deleted because they are too many.
type Held struct {
	Since int64    `json:"since"` // the complete read that did not show them first
	Keys  int64    `json:"keys"`
	Of    int64    `json:"of"`                 // keys that were known then, with these
	As    []string `json:"examples,omitempty"` // some of the keys
}

// AfterReset is k after a reset for a sweep, which deletes what was there before the pass and is not shown: only what
// is shown from then on is known.
func (k *Known) AfterReset(pass int64) *Known {
	if k == nil {
		return nil
	}
	return &Known{Era: pass + 1, Base: pass + 1, Whole: k.Whole}
}

// begin is k when another pass begins.
func (k *Known) begin() *Known {
	if k == nil || !k.Torn {
		return k
	}
	whole := *k
	whole.Torn = false
	return &whole
}

// Settled reports whether the last complete read left nothing to decide, so that another one that shows the same has
// nothing to tell.
func (k *Known) Settled() bool { return k != nil && k.Read > 0 && k.Left == 0 && !k.Torn }

// Left reports whether the pass of c, which has ended, was a complete read that has left keys which another one tells
// of: they may have slipped between its pages. What a person has to decide, and what a pass after it has left open,
// does not count.
func (c Cursor) Left() bool {
	k := c.Known
	return c.Done && k != nil && k.Read == c.Pass && k.Left > 0 && (k.Held == nil || k.Slipping > 0)
}

// Torn reports whether the pass of c, which has ended, is to be made once more, as it does not tell what is gone.
func (c Cursor) Torn() bool { return c.Done && c.Known != nil && c.Known.Torn }
