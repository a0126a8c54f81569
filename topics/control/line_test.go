package control_test

import (
	"testing"

	"github.com/millrace-io/millrace/topics/control"
)

// TestKeeps: a process that is started with a file whose logic is another line's does not make it the base line's.
func TestKeeps(t *testing.T) {
	var s control.Stream
	if s.Keeps("b") || s.LiveNumber() != control.BaseLine || s.Shadow() != nil {
		t.Error("without lines a file decides")
	}
	s.Lines = []control.Line{
		{Number: 1, State: control.LineLive, Logic: "a", Table: "t__g1"}, {Number: 2, State: control.LineBuilding, Logic: "b", Table: "t__g2"},
	}
	if !s.Keeps("b") || s.Keeps("a") || s.Keeps("c") || s.Shadow().Number != 2 {
		t.Error("only the logic of the line that is built is kept out")
	}
	if s.LineTable(1) != "" || s.LineTable(2) != "t__g2" {
		t.Errorf("the tables are %q and %q", s.LineTable(1), s.LineTable(2))
	}
	s.Lines[0].State, s.Lines[1].State, s.LiveLine = control.LineOld, control.LineLive, 2
	if !s.Keeps("a") || !s.Keeps("c") || s.LineTable(1) != "t__g1" || s.LineTable(2) != "" {
		t.Error("while another line is live no file decides about the base line")
	}
	s.Lines[0].State, s.Lines[1].State, s.LiveLine = control.LineLive, control.LineOld, 0
	s.Lines[1].Later = []string{"c"}
	if !s.Keeps("b") || !s.Keeps("c") || s.Keeps("d") {
		t.Error("nor is a logic that the other line was given later")
	}
	s.Lines[1].State = control.LineDropped
	if !s.Keeps("b") || s.LineOf("b") == nil || s.Shadow() != nil {
		t.Error("a file that has the logic of a line that was dropped does not make it live by itself")
	}
}
