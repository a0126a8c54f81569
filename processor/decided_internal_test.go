package processor

import (
	"testing"

	"github.com/millrace-io/millrace/topics/control"
)

// TestALineBesideEndsNoTurn: live sessions would begin again, and live records wait for their rebalance, for a line
// that changes nothing of what they process.
func TestALineBesideEndsNoTurn(t *testing.T) {
	file := &stream{name: "orders", logic: "of-the-file"}
	with := func(live uint16, lines ...control.Line) string {
		return matters(&control.Stream{
			Live: 1, LiveLine: live, Lines: lines, Generations: []control.Generation{{Number: 1, Logic: "of-the-file"}},
		}, file)
	}
	base := control.Line{Number: control.BaseLine, State: control.LineLive}
	other := func(state control.LineState) control.Line {
		return control.Line{Number: 2, State: state, Logic: "of-another"}
	}
	alone := with(0)
	for name, test := range map[string]struct {
		now  string
		same bool
	}{
		"a line of other logic is made":      {with(0, base, other(control.LineMaking)), true},
		"and built":                          {with(0, base, other(control.LineBuilding)), true},
		"and dropped":                        {with(0, base, other(control.LineDropped)), true},
		"it is the live one":                 {with(2, base, other(control.LineLive)), false},
		"the file's line is dropped":         {with(2, control.Line{Number: control.BaseLine, State: control.LineDropped}, other(control.LineLive)), false},
		"a line of the file's logic is made": {with(0, base, control.Line{Number: 2, State: control.LineMaking, Logic: "of-the-file"}), false},
	} {
		if same := test.now == alone; same != test.same {
			t.Errorf("%s: the same %t, want %t", name, same, test.same)
		}
	}
	if with(2, base, other(control.LineLive)) == with(2, control.Line{Number: control.BaseLine, State: control.LineDropped}, other(control.LineLive)) {
		t.Error("a dropped line's processors continue")
	}
}
