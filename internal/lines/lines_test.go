package lines_test

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// TestALineIsAPipeline: processor and sink run a line as they run a pipeline, beside those of the pipeline that it is
// of. Its table ends as a fresh run, with other keys and columns; the live one is not touched.
func TestALineIsAPipeline(t *testing.T) {
	w := newWorld(t, 3)
	w.stages(w.Of(before), "live")
	w.Write(testworld.Some(0, 300)...)
	w.Becomes("t", logicBefore)

	line := topics.LineOf(w.Of(before), &after, 2, "t__g2")
	stop := w.stages(line, "line")
	w.Write(testworld.Some(300, 200)...)
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
	stop()
	w.Write(testworld.Some(500, 200)...)
	w.Becomes("t", logicBefore)
	w.stages(line, "line")
	w.Becomes("t__g2", logicAfter)
	if live := w.Decided(); len(live.Generations) != 1 {
		t.Errorf("the live line has generations %v", live.Generations)
	}
}

// TestOf: which logic and which table a line has, by what is decided and by the file.
func TestOf(t *testing.T) {
	w := newWorld(t, 1)
	newer := testworld.Logic{Refuses: "none", By: 1}.Stream()
	line := func(number uint16, state control.LineState, of *pipeline.Stream) control.Line {
		l := control.Line{Number: number, State: state, Table: fmt.Sprintf("t__g%d", number), Definition: of.Definition()}
		l.Logic, l.Key = of.Logic()
		return l
	}
	old := line(1, control.LineLive, &before)
	s := &control.Stream{
		Generations: []control.Generation{{Number: 1, Logic: old.Logic, Key: old.Key}}, Live: 1,
		Lines: []control.Line{old, line(2, control.LineBuilding, &after)},
	}
	check := func(file pipeline.Stream, number uint16, name, table string, want pipeline.Stream) {
		t.Helper()
		p, err := lines.Of(w.Of(file), "s", s, number)
		if err != nil {
			t.Fatal(err)
		}
		is, _ := p.Streams[0].Logic()
		if should, _ := want.Logic(); is != should || p.Name != name || p.Streams[0].Sink.Name() != table || len(p.Streams) != 1 {
			t.Errorf("line %d is %s, with the table %s and %s", number, p.Name, p.Streams[0].Sink.Name(), p.Streams[0].Definition())
		}
	}
	for _, file := range []pipeline.Stream{before, after, newer} {
		check(file, 1, "p", "t", file) // what a base line runs its control record says
		check(file, 2, "p.g2.s", "t__g2", after)
	}
	s.LiveLine, s.Lines[0].State, s.Lines[1].State = 2, control.LineOld, control.LineLive
	check(before, 2, "p.g2.s", "t", after) // a process with the file of before does not bring its logic back
	check(after, 2, "p.g2.s", "t", after)
	check(newer, 2, "p.g2.s", "t", newer)
	check(after, 1, "p", "t__g1", after)
	if _, err := lines.Of(w.Of(before), "s", s, 3); err == nil {
		t.Error("there is no line 3")
	}
}
