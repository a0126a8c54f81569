package tool

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/topics/control"
)

// TestStatusTellsOfARate: below the lines it says of one that is built with a rate how much arrives, and whether it
// does not catch up.
func TestStatusTellsOfARate(t *testing.T) {
	t.Parallel()
	arriving, less, more := 1020, 40, 4000
	for _, c := range []struct {
		line lines.Status
		want string
	}{
		{lines.Status{State: control.LineBuilding, Rate: 2000}, "line 2: --rate 2000\n"},
		{lines.Status{State: control.LineBuilding, Rate: 2000, Arriving: &arriving}, "line 2: --rate 2000; 1,020 records/s arrive\n"},
		{lines.Status{State: control.LineBuilding, Rate: 2000, Arriving: &arriving, All: 98_000}, "line 2: 2,000 a second, 1m40s left; --rate 2000; 1,020 records/s arrive\n"},
		{lines.Status{State: control.LineBuilding, Arriving: &less, All: 98_000}, "line 2: 2,000 a second, 50s left; 40 records/s arrive\n"},
		{lines.Status{State: control.LineBuilding, Arriving: &more, All: 98_000}, "line 2: 2,000 a second; 4,000 records/s arrive\n"},
		{
			lines.Status{State: control.LineBuilding, Rate: 500, Arriving: &arriving, DoesNotCatchUp: "does not catch up: so it is"},
			"line 2: does not catch up: so it is\n",
		},
		{lines.Status{State: control.LineBuilding, Unknown: "no answer"}, "line 2: how far it is, is not known: no answer\n"},
		{lines.Status{State: control.LineBuilding}, ""},
		{lines.Status{State: lines.Built, Rate: 500, BuiltAt: time.UnixMilli(1)}, ""},
		{lines.Status{State: control.LineLive, Rate: 500, BuiltAt: time.UnixMilli(1)}, ""},
	} {
		c.line.Line, c.line.Table = 2, "t__g2"
		if c.line.All > 0 {
			c.line.Paced(drive.Pace{PerSecond: 2000, Left: 49})
		}
		var out strings.Builder
		if err := (&replayStatus{Stream: "s", Lines: []lines.Status{c.line}}).write(&out); err != nil {
			t.Fatal(err)
		}
		table, told, _ := strings.Cut(out.String(), "\n\n")
		if told != c.want || !strings.Contains(table, "t__g2") {
			t.Errorf("%+v: %s", c.line, out.String())
		}
	}
}
