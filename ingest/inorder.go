package ingest

import (
	"bytes"
	"cmp"
)

// inOrder notes whether the keys of a read came in their own order, up or down. That an API pages by the key does not
// say that it sorts by the key: in a list that is sorted by the time of a change, a record that changes passes over the
// pages that are still to come.
type inOrder struct {
	last   []byte
	way    int // as of bytes.Compare; 0: not known
	broken bool
}

func (o *inOrder) see(key []byte) {
	if o.last != nil && !o.broken {
		way := compareKeys(o.last, key)
		o.broken = way == 0 || o.way != 0 && o.way != way
		o.way = way
	}
	o.last = append(o.last[:0], key...)
}

// compareKeys is as bytes.Compare, but for numbers in keys, which are compared as such.
func compareKeys(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		m, n := digits(a), digits(b)
		if m == 0 || n == 0 {
			if a[0] != b[0] {
				return bytes.Compare(a, b)
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := bytes.TrimLeft(a[:m], "0"), bytes.TrimLeft(b[:n], "0")
		switch {
		case len(x) < len(y):
			return -1
		case len(x) > len(y):
			return 1
		}
		if c := bytes.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[m:], b[n:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits a text begins with.
func digits(b []byte) (n int) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}
