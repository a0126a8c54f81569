package lines

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// course is a line that is looked at each second.
type course struct {
	pacer pacer
	now   sight
}

func newCourse(lag int64) *course {
	return &course{now: sight{at: time.UnixMilli(0), next: 1000, end: 1000 + lag}}
}

// run lets seconds pass, in each of which so many raw offsets arrive and are filled, and returns the paces.
func (c *course) run(seconds int, arrive func(second int) int64, filled int64) (all []Pace) {
	for range seconds {
		all = append(all, c.pacer.look(c.now))
		c.now.at = c.now.at.Add(time.Second)
		c.now.end += arrive(int(c.now.at.Unix()))
		c.now.next = min(c.now.next+filled, c.now.end)
	}
	return all
}

func steady(n int64) func(int) int64 { return func(int) int64 { return n } }

// TestPace: a line that is filled more slowly than records arrive does not catch up, which is known after twenty
// seconds; else what is left counts what arrives meanwhile.
func TestPace(t *testing.T) {
	slow := newCourse(1_000_000).run(40, steady(1020), 498)
	for second, p := range slow {
		if p.Never != (second >= 20) || p.Left != 0 {
			t.Errorf("slow, after %d seconds: %+v", second, p)
		}
	}
	if last := slow[39]; last.Arriving != 1020 || last.Rate != 498 {
		t.Errorf("slow: %+v", last)
	}
	fast := newCourse(1_000_000).run(30, steady(100), 500)
	if last := fast[29]; last.Never || last.Left != 2471*time.Second || last.Rate != 500 {
		t.Errorf("fast: %+v", last)
	}
	if last := newCourse(300).run(60, steady(100), 100)[59]; last.Never {
		t.Errorf("a line that tails: %+v", last)
	}
	if last := newCourse(300_000).run(60, steady(100), 100)[59]; !last.Never {
		t.Errorf("as much arrives as is filled: %+v", last)
	}
	if last := newCourse(300_000).run(300, steady(100), 0)[299]; last.Never || last.Rate != 0 {
		t.Errorf("a line that nobody fills: %+v", last)
	}
}

// TestPaceOfBursts: what arrives at intervals counts as what it is on average, once that has been seen.
func TestPaceOfBursts(t *testing.T) {
	bursts := func(second int) int64 {
		if second%120 == 5 {
			return 24_000 // 200 a second
		}
		return 0
	}
	for second, p := range newCourse(1_000_000).run(1000, bursts, 300) {
		if second > 200 && p.Never {
			t.Fatalf("after %d seconds: %+v", second, p)
		}
	}
}

// TestPaceWithGaps: where it is looked less than once a minute, rates are of the time between.
func TestPaceWithGaps(t *testing.T) {
	var p pacer
	var last Pace
	for i := range int64(4) {
		last = p.look(sight{time.UnixMilli(61_000 * i), 3050 * i, 1_000_000 + 6100*i})
	}
	if last.Rate != 50 || last.Arriving != 100 || !last.Never {
		t.Errorf("%+v", last)
	}
}

// TestNear: a line with a rate is near its end when half a minute is left, and no line is with more than 10,000
// records.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		rate      int
		left, lag int64
		want      bool
	}{
		{0, 10_000, 10_000, true},
		{0, 10_001, 0, false},
		{0, 0, 10_001, false},
		{20, 600, 0, true},
		{20, 601, 0, false},
		{5000, 10_000, 0, true},
		{5000, 10_001, 0, false},
	} {
		if is := (Progress{Done: 100, All: 100 + c.left, Lag: c.lag}).near(c.rate); is != c.want {
			t.Errorf("%+v: %t", c, is)
		}
	}
}

// TestPaceChanges: a line is told to catch up only once it clearly does, and then as soon as that has gone on for a
// minute.
func TestPaceChanges(t *testing.T) {
	c := newCourse(1_000_000)
	c.run(60, steady(1000), 500)
	for second, p := range c.run(200, steady(1000), 1020) {
		if !p.Never {
			t.Fatalf("at much the same pace, after %d seconds: %+v", second, p)
		}
	}
	if last := c.run(70, steady(1000), 2000)[69]; last.Never || last.Left == 0 {
		t.Errorf("at twice the pace: %+v", last)
	}
}

// TestAdvice says what is, and the command that helps.
func TestAdvice(t *testing.T) {
	env := stage.Env{File: "my shop.yaml"}
	command := func(flags ...string) string { return buildCommand(env, "orders", flags...) }
	for _, c := range []struct {
		pace Pace
		rate int
		want string
	}{
		{
			Pace{Arriving: 1020.3, Rate: 499.6}, 500,
			"does not catch up: 1,020 records/s arrive, and --rate 500 takes 500/s; give a higher --rate: millrace replay 'my shop.yaml' orders --shadow --rate 2000",
		},
		{Pace{Arriving: 66, Rate: 21.8}, 20, "66 records/s arrive, and --rate 20 takes 20/s; give a higher --rate: millrace replay 'my shop.yaml' orders --shadow --rate 100"},
		{Pace{Arriving: 0.2, Rate: 0.1}, 1, "without a limit: millrace replay 'my shop.yaml' orders --shadow --rate 0"},
		{Pace{Arriving: 1020, Rate: 700}, 2000, "700/s are processed although --rate is 2000; without a limit: "},
		{Pace{Arriving: 1020, Rate: 700}, 0, "share the work with a process on another machine: millrace replay 'my shop.yaml' orders --shadow"},
	} {
		if is := c.pace.advice(c.rate, command); !strings.Contains(is, c.want) {
			t.Errorf("%+v with --rate %d: %s, want %s", c.pace, c.rate, is, c.want)
		}
	}
	for arriving, want := range map[float64]int{0: 1, 0.5: 1, 1: 2, 66: 100, 67: 200, 800: 2000, 1020: 2000, 4000: 6000, 7000: 20_000} {
		if is := enough(arriving); is != want || float64(is) < 1.5*arriving {
			t.Errorf("%v a second: %d is advised, want %d", arriving, is, want)
		}
	}
}

// TestWarner: it is said once, and again when what was advised is not enough any more, or when the line had caught up
// meanwhile.
func TestWarner(t *testing.T) {
	var w warner
	for i, c := range []struct {
		pace Pace
		want bool
	}{
		{Pace{}, false},
		{Pace{Arriving: 1020, Never: true}, true}, // 2000 is advised
		{Pace{Arriving: 1500, Never: true}, false},
		{Pace{Arriving: 1999, Never: true}, false},
		{Pace{Arriving: 2000, Never: true}, true}, // 3000 is advised
		{Pace{Arriving: 2500, Never: true}, false},
		{Pace{Arriving: 100}, false},
		{Pace{Arriving: 100, Never: true}, true},
		{Pace{Arriving: 100, Never: true}, false},
	} {
		if is := w.warns(c.pace); is != c.want {
			t.Errorf("pace %d, %+v: warns is %t", i, c.pace, is)
		}
	}
}

// TestSinksPace: sinks that write more slowly than processed records come do not catch up, which is known twenty seconds
// after the processors are near the end. Before that they may be slower, and so may those whose lag gets less.
func TestSinksPace(t *testing.T) {
	for _, c := range []struct {
		name          string
		left          int64 // raw records that are not processed yet
		come, written int64 // a second
		never         bool
	}{
		{"the log is still being processed", nearEnd + 1, 5000, 1000, false},
		{"slower than what comes", nearEnd, 1000, 400, true},
		{"faster than what comes", nearEnd, 1000, 1200, false},
		{"nobody writes", nearEnd, 1000, 0, false},
	} {
		var m meter
		var p Progress
		written := newCourse(300_000)
		for second := range 40 {
			p = Progress{Done: 100, All: 100 + c.left, at: sight{at: written.now.at, next: 100, end: 100 + c.left}, written: written.now}
			m.pace(&p)
			if want := c.never && second >= 20; p.Sinks.Never != want {
				t.Errorf("%s, after %d seconds: %+v", c.name, second, p.Sinks)
			}
			written.run(1, steady(c.come), c.written)
		}
		want := "do not catch up: 1,000 processed records/s come, and 400/s are written; share the work with a process on another machine: again"
		if is := p.Sinks.sinksAdvice(func(...string) string { return "again" }); c.never && is != want {
			t.Errorf("%s: %s, want %s", c.name, is, want)
		}
	}
}
