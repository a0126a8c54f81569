package redo

import "math/bits"

// Marks is a set of offsets in one partition: those of the records that are to be processed again. It takes a bit for
// each offset. After it was built it is read-only.
type Marks struct {
	start, end int64
	words      []uint64

	// Keys is of how many keys the newest record is in the range. Letters is how many of these records are refused, and
	// so become a letter again. Records is how many offsets are marked: one or two of a key.
	Keys, Letters, Records int
	Passes                 int // over the log: more than 1 if the keys did not fit in memory
}

func newMarks(start, end int64) *Marks {
	return &Marks{start: start, end: end, words: make([]uint64, (max(0, end-start)+63)/64)}
}

func (m *Marks) set(offset int64) {
	i := offset - m.start
	if bit := uint64(1) << (i & 63); m.words[i>>6]&bit == 0 {
		m.words[i>>6] |= bit
		m.Records++
	}
}

// Has reports whether an offset is marked.
func (m *Marks) Has(offset int64) bool {
	if offset < m.start || offset >= m.end {
		return false
	}
	i := offset - m.start
	return m.words[i>>6]&(1<<(i&63)) != 0
}

// Next is the lowest marked offset from an offset on. ok is false if there is none.
func (m *Marks) Next(offset int64) (next int64, ok bool) {
	i := max(offset, m.start) - m.start
	for w := i >> 6; w < int64(len(m.words)); w++ {
		word := m.words[w]
		if w == i>>6 {
			word &= ^uint64(0) << (i & 63)
		}
		if word != 0 {
			return m.start + w<<6 + int64(bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}

// Left is how many marked offsets there are from an offset on.
func (m *Marks) Left(offset int64) (n int) {
	i := max(offset, m.start) - m.start
	for w := i >> 6; w < int64(len(m.words)); w++ {
		word := m.words[w]
		if w == i>>6 {
			word &= ^uint64(0) << (i & 63)
		}
		n += bits.OnesCount64(word)
	}
	return n
}
