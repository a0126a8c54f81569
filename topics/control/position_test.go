package control_test

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// TestWhereAPartitionGoesOn: an offset counts only in its topic and run.
func TestWhereAPartitionGoesOn(t *testing.T) {
	here := topics.Position{RawTopicID: "b", Run: 2, Generation: 5, Epoch: 1}
	of := func(change func(*topics.Position)) string {
		p := here
		change(&p)
		return p.Metadata()
	}
	declared := control.Run{Number: 2, From: map[int32]int64{0: 70}}
	for name, x := range map[string]struct {
		run      control.Run
		moved    map[int32]int64
		metadata string
		none     bool
		want     int64
		err      error
	}{
		"of this topic and run":                {run: declared, metadata: of(func(*topics.Position) {}), want: 100},
		"of an older generation":               {run: declared, metadata: of(func(p *topics.Position) { p.Generation = 1 }), want: 100},
		"of a lower run":                       {run: declared, metadata: of(func(p *topics.Position) { p.Run = 1 }), want: 70},
		"of another topic":                     {run: declared, metadata: of(func(p *topics.Position) { p.RawTopicID = "a" }), want: 70},
		"of another topic, nothing declared":   {run: control.Run{Number: 2}, metadata: of(func(p *topics.Position) { p.RawTopicID = "a" }), want: control.AtStart},
		"of a later run":                       {run: declared, metadata: of(func(p *topics.Position) { p.Run = 3 }), err: control.ErrStale},
		"of a later generation, another topic": {run: declared, metadata: of(func(p *topics.Position) { p.RawTopicID, p.Generation = "c", 6 }), err: control.ErrStale},
		"none":                                 {run: declared, none: true, want: 70},
		"none, nothing declared":               {none: true, want: control.AtStart},
		"of another program":                   {run: declared, metadata: "x", err: control.ErrMoved},
		"of another program, answered":         {run: declared, moved: map[int32]int64{0: 100}, metadata: "x", want: 70},
		"of another program, again":            {run: declared, moved: map[int32]int64{0: 99}, metadata: "x", err: control.ErrMoved},
		"of the version before":                {run: control.Run{Number: 1, From: map[int32]int64{0: 90}, Why: control.Upgrade}, want: 90},
	} {
		s := &control.Stream{Generations: []control.Generation{{Number: 5}}, Run: x.run, Moved: x.moved}
		got, err := s.GoOn("b", 0, 100, x.metadata, !x.none)
		if !errors.Is(err, x.err) || err == nil && got != x.want {
			t.Errorf("%s: %d, %v; want %d, %v", name, got, err, x.want, x.err)
		}
	}
}
