package control

import (
	"context"
	"slices"
	"time"
)

// BaseLine is the number of the line that a stream has from its first run on.
const BaseLine uint16 = 1

// Line is a processed topic of a stream with its table. The base line is of the pipeline itself. Any other is a
// pipeline of its own (topics.LineOf), with a control topic of its own, that reads the same raw topic.
type Line struct {
	Number uint16    `json:"number"` // BaseLine or more. A number is never given twice
	State  LineState `json:"state"`
	// Definition is the steps and the columns, as of a Generation, with which the line began; empty of one that is
	// dropped. Logic and Key are its fingerprints.
	Definition string   `json:"definition,omitempty"`
	Logic      string   `json:"logic"`
	Key        string   `json:"key"`
	Later      []string `json:"later,omitempty"` // fingerprints of the logics that it was given after that
	Table      string   `json:"table"`           // its name while the line is not live
	// raw records a second while it is built, of all that take part; 0: no limit
	Rate    int       `json:"rate,omitempty"`
	BuiltAt time.Time `json:"built_at,omitzero"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
}

// LineState is what a line is there for.
type LineState string

// The states of a line. The base line begins as LineLive, any other one as LineMaking.
const (
	LineMaking   LineState = "making"   // its number is given, and its table is made. No stage runs it
	LineBuilding LineState = "building" // stages fill it, beside the live one. It is built where BuiltAt is there
	LineLive     LineState = "live"     // its table is the one that is read
	LineOld      LineState = "old"      // it was live, and goes on, so that it can be again
	LineDropping LineState = "dropping" // no stage runs it; what it has is removed
	LineDropped  LineState = "dropped"  // nothing is left of it but its fingerprints
)

// Runs reports whether stages run a line in this state.
func (s LineState) Runs() bool { return s == LineBuilding || s == LineLive || s == LineOld }

// Building reports whether a line is filled and not built yet.
func (l *Line) Building() bool { return l.State == LineBuilding && l.BuiltAt.IsZero() }

// Line returns the line of that number, or nil.
func (s *Stream) Line(number uint16) *Line {
	for i := range s.Lines {
		if s.Lines[i].Number == number {
			return &s.Lines[i]
		}
	}
	return nil
}

// LiveNumber is the number of the live line.
func (s *Stream) LiveNumber() uint16 { return max(s.LiveLine, BaseLine) }

// Shadow returns the line that is made or built, or nil.
func (s *Stream) Shadow() *Line {
	for i := range s.Lines {
		if state := s.Lines[i].State; state == LineMaking || state == LineBuilding {
			return &s.Lines[i]
		}
	}
	return nil
}

// LineTable is the name of the table of a line; empty: the one that the stream's file gives it.
func (s *Stream) LineTable(number uint16) string {
	if l := s.Line(number); l != nil && number != s.LiveNumber() {
		return l.Table
	}
	return ""
}

// has reports whether a line has or had a logic.
func (l *Line) has(logic string) bool { return l.Logic == logic || slices.Contains(l.Later, logic) }

// LineOf returns the line, other than the base line, that has or had a logic and is not dropped; else one that is
// dropped; nil: there is none.
func (s *Stream) LineOf(logic string) *Line {
	var found *Line
	for i := range s.Lines {
		l := &s.Lines[i]
		if l.Number != BaseLine && l.has(logic) && (found == nil || found.State == LineDropped) {
			found = l
		}
	}
	return found
}

// Keeps reports whether the base line goes on with its own logic although a file has this one: because another line is
// live, or because this is the logic of another line.
func (s *Stream) Keeps(logic string) bool {
	return s.LiveNumber() != BaseLine || s.LineOf(logic) != nil
}

// Give notes, in the control topic of the pipeline that a line is of, that the line is given a logic: from then on a
// file with this logic is not one that the base line does not know. It is called before the line's own control topic
// says so. cfg is of the line.
func Give(ctx context.Context, cfg Config, pipeline, stream string, line uint16, logic string) error {
	cfg.Pipeline = pipeline
	_, err := Change(ctx, cfg, stream, func(s *Stream) error {
		l := s.Line(line)
		if l == nil || l.has(logic) {
			return ErrUnchanged
		}
		l.Later = append(l.Later, logic)
		return nil
	})
	return err
}
