package mutants

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The mechanisms that are switched off. Two stages have fencing, each its own.
const (
	CursorInTransaction  = "cursor-in-transaction"  // ingest: the cursor commits with the raw records
	OffsetsInTransaction = "offsets-in-transaction" // processor: raw offsets commit with the processed records
	RowVersions          = "row-versions"           // sink: only a higher version wins
	Marks                = "marks"                  // sink: an older record does not bring back a deleted row
	ExpectedOffset       = "expected-offset"        // sink: a batch applies only at the offset it was read from
	Fencing              = "fencing"                // ingest, sink: a process that lost its claim can no longer write
	Index                = "index"                  // redo: of each key only the newest record is processed again
	IndexToTheCut        = "index-to-the-cut"       // redo: the newest record is looked for beyond the range
	// FromTheStart, of redo: where sources have versions, the newest record is looked for from the log's start.
	FromTheStart = "from-the-start"
	OlderGood    = "older-good" // redo: where the newest is refused, the next older one is processed
	Marking      = "marking"    // redo: every removal leaves a mark meanwhile
	// ProducerFirst, of processor: a session initialises its producer, then reads what is decided.
	ProducerFirst    = "producer-first"
	OffsetMetadata   = "offset-metadata"    // processor: a committed offset counts only in its topic and run
	Fence            = "fence"              // processor: what is open is aborted when another logic becomes live
	LookAgain        = "look-again"         // processor: after an abort a session reads what is decided
	FenceBeforeCut   = "fence-before-cut"   // redo: the logic of before is fenced before the cut is read
	MarkingBeforeCut = "marking-before-cut" // redo: removals leave marks before the cut is read
	KeptMarks        = "kept-marks"         // sink: no mark is pruned during a redo
	FreezeLive       = "freeze-live"        // swap: the live line stands still before the other one is waited for
	FreezeOther      = "freeze-other"       // swap: the other line stands still while the tables are renamed
	ClaimHeeds       = "claim-heeds"        // swap: a claim looks whether its table is being swapped
	RenamedStays     = "renamed-stays"      // swap: what is renamed is finished, not cleared
	NameOfBefore     = "name-of-before"     // swap: a table is not claimed by the name that it had before
	DiffBytes        = "diff-bytes"         // diff: values are compared by their bytes
	SecondLook       = "second-look"        // diff: what differs is looked at again when both lines are as far
	BarrierFirst     = "barrier-first"      // swap: the other line has come as far before the tables are renamed
	// WholeBarrier, of swap: a line is as far when its table has all of its processed topic, to the watermark.
	WholeBarrier = "whole-barrier"
	// HighBarrier, of swap: a line is as far when its positions are, although its table has no row of the newest records.
	HighBarrier   = "high-barrier"
	OneConnection = "one-connection" // swap: the driver never connects again
	Kill          = "kill"           // swap: a driver that stands still is ended before its swap is
	// GuardedTrial, of sink: what a trial refuses counts only if the claims still held afterwards.
	GuardedTrial = "guarded-trial"
	CompletePass = "complete-pass" // reset: a sweep waits until a pass of every slice has ended
	// NewestEdited, of letters: an edit is written only if its letter is of the key's newest raw record.
	NewestEdited = "newest-edited"
	// ClosedWithEdit, of letters: a letter is closed in the transaction that writes its edited record.
	ClosedWithEdit = "closed-with-edit"
	ClosedBehind   = "closed-behind" // letters: a retry closes its letters behind what it brings
	OneDecider     = "one-decider"   // control: whoever decides takes the id first, and then reads
)

// Mutant is millrace without one mechanism.
type Mutant struct {
	Name  string // the mechanism that is off
	Edits []Edit // in order; several may be in one file
}

// Edit replaces a text in a source file.
type Edit struct {
	File string // relative to the module's root, with slashes: sink/writer.go
	Old  string // occurs once in the file, at the time of the edit
	New  string
}

// String is the mutant as messages name it: sink without fencing.
func (m Mutant) String() string {
	if len(m.Edits) == 0 {
		return m.Name
	}
	stage, _, _ := strings.Cut(m.Edits[0].File, "/")
	return stage + " without " + m.Name
}

// Named returns the mutant of that name. It panics if the list has none: a name is a constant of a test.
func Named(list []Mutant, name string) Mutant {
	i := slices.IndexFunc(list, func(m Mutant) bool { return m.Name == name })
	if i < 0 {
		panic("no mutant " + name)
	}
	return list[i]
}

// Packages returns the packages that are edited, as arguments of the Go command in the module's root.
func (m Mutant) Packages() []string {
	var out []string
	for _, e := range m.Edits {
		out = append(out, "./"+path.Dir(e.File))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// files returns the edited files, by name.
func (m Mutant) files(root string) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range m.Edits {
		text, ok := out[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
			if err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 || e.Old == "" {
			return nil, fmt.Errorf("mutant %s: %s has this text %d times, not once:\n%s", m.Name, e.File, n, e.Old)
		}
		out[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return out, nil
}

// Root returns the module's root directory: the nearest one above the working directory that has a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = above
	}
}
