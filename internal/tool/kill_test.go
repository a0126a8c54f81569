// With the race detector these take minutes, and other tests run the commands with it.

//go:build !race

package tool

import (
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// killStride is by how many requests two deaths of a command differ.
const killStride = 4

// decidedNow is what is decided about the stream.
func decidedNow(t *testing.T, path string) *control.Stream {
	t.Helper()
	o, err := operate(t.Context(), path, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	v, err := o.decided(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v.Stream("orders")
}

// kept watches that orders are in the table all the time.
func (p *patient) kept(ids ...int) (stop func()) {
	return always(p.t, "all orders that the API has always shown are in the table", func() bool {
		got := p.ids()
		return got == nil || !slices.ContainsFunc(ids, func(id int) bool { return !slices.Contains(got, id) })
	})
}

// quiet ends the run, which nothing has disturbed.
func (p *patient) quiet() {
	p.t.Helper()
	p.stop()
	if lines := p.run.disturbed(); lines != "" {
		p.t.Errorf("disturbed:\n%s", lines)
	}
}

// TestResetKilledAtEachStep: the command is run again, and the table is what the API shows, as if it had not been
// killed.
func TestResetKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 8)
	p.killResets()
	p.quiet()
}

func (p *patient) killResets() {
	t := p.t
	t.Helper()
	defer p.kept(0, 1, 2, 3, 4)()
	for _, c := range []struct {
		name  string
		flags resetFlags
		least int // kills
	}{
		{"reset", resetFlags{yes: true}, 3},
		{"reset --all", resetFlags{yes: true, sweep: true, all: true, limit: 50}, 5},
	} {
		next := 8
		kills := killEach(t, p.path, killStride, c.flags.run, func(int64) {
			if c.flags.sweep {
				p.api.drop(next - 1)
			}
			p.add(next)
			next++
		}, func(int64) {
			args := []string{"reset", "orders", "--yes"}
			if c.flags.sweep {
				args = append(args, "--all", "--sweep-limit", "50")
			}
			p.command(0, "", args...)
		}, func(int64) {
			p.await()
			if s := decidedNow(t, p.path); s.Sweep != nil || !s.Reset.Done {
				t.Errorf("%s: %+v, %+v", c.name, s.Reset, s.Sweep)
			}
		})
		if kills < c.least {
			t.Errorf("%s: %d kills", c.name, kills)
		}
		p.api.drop(slices.DeleteFunc(p.api.shows(), func(id int) bool { return id < 8 })...)
		p.command(0, "", "reset", "orders", "--sweep", "--yes", "--sweep-limit", "90")
		p.await()
	}
}

// TestRecoverKilledAtEachStep: what retention took comes again, and after --kafka-lost everything does, once.
func TestRecoverKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 8)
	p.killRecovers()
	p.run.send(t, syscall.SIGTERM)
	p.run.exit(t)
}

func (p *patient) killRecovers() {
	t := p.t
	t.Helper()
	defer p.kept(0, 1, 2, 3, 4)()
	next := 8
	after := func(int64) {
		p.await()
		p.command(0, "orders: the positions are in order", "recover")
	}
	killEach(t, p.path, killStride, func(cmd *cobra.Command, o *operation) error { return recoverStreams(cmd, o, false) }, func(int64) {
		p.command(0, "paused: sink", "pause", "orders", "--stage", "sink")
		p.paused()
		p.processed(func() { p.add(next) })
		next++
		p.forget(topics.Processed(p.name, "orders"))
		p.command(0, "resumed: sink", "resume", "orders")
	}, func(int64) { p.command(0, "orders: done", "recover", "--yes") }, after)
	killEach(t, p.path, killStride, func(cmd *cobra.Command, o *operation) error { return recoverStreams(cmd, o, true) }, func(int64) {
		p.add(next)
		next++
	}, func(int64) { p.command(0, "orders: done", "recover", "--yes", "--kafka-lost") }, after)
}

// paused waits until the sink stands.
func (p *patient) paused() {
	p.t.Helper()
	testkit.Eventually(p.t, patience, testkit.That("the sink's pause", func() bool {
		_, metrics := get(p.t, p.run.address(p.t)+"/metrics")
		return strings.Contains(metrics, `millrace_sink_notices{kind="paused",stream="orders"} 1`)
	}))
}

// processed waits until the processors have processed what a change of the API brings.
func (p *patient) processed(change func()) {
	p.t.Helper()
	p.brokers(func(adm *kadm.Client) {
		raw, group := topics.Raw(p.name, "orders"), topics.ProcessorGroup(p.name)
		end := func() (n int64) {
			ends, err := adm.ListEndOffsets(p.t.Context(), raw)
			if err != nil {
				p.t.Fatal(err)
			}
			ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
			return n
		}
		before := end()
		change()
		testkit.Eventually(p.t, patience, testkit.That("what is new is processed", func() bool {
			lag, err := adm.Lag(p.t.Context(), group)
			if err != nil {
				return false
			}
			return end() > before && lag[group].Lag.TotalByTopic()[raw].Lag == 0
		}))
	})
}

// TestPauseAndResumeKilledAtEachStep: each is run again, and holds.
func TestPauseAndResumeKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 8)
	stages := []string{"ingest", "processor", "sink"}
	pause := func(cmd *cobra.Command, o *operation) error {
		_, err := o.decidePauses(cmd.Context(), stages, paused(""))
		return err
	}
	resume := func(cmd *cobra.Command, o *operation) error {
		_, err := o.decidePauses(cmd.Context(), stages, resumed)
		return err
	}
	next := 8
	for at := int64(0); ; at++ {
		pauseDied, err := killed(t, p.path, at, pause)
		if err != nil && !pauseDied {
			t.Fatal(err)
		}
		p.command(0, "", "pause", "orders")
		if s := decidedNow(t, p.path); len(s.Paused) != len(stages) {
			t.Errorf("killed at request %d of pause: %+v", at, s.Paused)
		}
		p.add(next)
		next++
		resumeDied, err := killed(t, p.path, at, resume)
		if err != nil && !resumeDied {
			t.Fatal(err)
		}
		p.command(0, "", "resume", "orders")
		if s := decidedNow(t, p.path); len(s.Paused) != 0 {
			t.Errorf("killed at request %d of resume: %+v", at, s.Paused)
		}
		p.await()
		if !pauseDied && !resumeDied {
			if at < 3 {
				t.Errorf("killed at %d requests", at)
			}
			break
		}
	}
	p.quiet()
}

// TestRecoverBesideTraffic: what is processed and written while it looks is not past the end of a log, which would be
// taken for a loss.
func TestRecoverBesideTraffic(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 8)
	o, err := operate(t.Context(), p.path, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	m := testkit.NewMortal(math.MaxInt64)
	var once sync.Once
	m.Before = func(key kmsg.Key) {
		if key == kmsg.OffsetFetch {
			once.Do(func() {
				p.add(8, 9, 10, 11)
				p.await()
			})
		}
	}
	take(t, m, o)
	var told strings.Builder
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(&told)
	if err := recoverStreams(cmd, o, false); err != nil || told.String() != "orders: the positions are in order\n" {
		t.Errorf("%s%v", &told, err)
	}
	p.quiet()
}

// TestRecoverBesideADeclaration: a sink that runs declares positions after --kafka-lost has looked, which declares its
// own all the same: from the start.
func TestRecoverBesideADeclaration(t *testing.T) {
	p := newPatient(t, 8)
	o, err := operate(t.Context(), p.path, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	other := control.Config{Pipeline: "shop", Who: "a sink", Client: slices.Clone(o.opts)}
	m := testkit.NewMortal(math.MaxInt64)
	var once sync.Once
	m.Before = func(key kmsg.Key) {
		if key != kmsg.InitProducerID {
			return
		}
		once.Do(func() {
			if _, err := control.Change(t.Context(), other, "orders", func(s *control.Stream) error {
				s.Run.Number++
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	take(t, m, o)
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(io.Discard)
	if err := recoverStreams(cmd, o, true); err != nil {
		t.Error(err)
	}
	if run := decidedNow(t, p.path).Run; run.Number < 2 || run.Why != "Kafka is older than the database" {
		t.Errorf("%+v", run)
	}
	p.await()
	p.run.send(t, syscall.SIGTERM)
	p.run.exit(t)
}

// recoverStreams is `millrace recover --yes`. lost is --kafka-lost.
func recoverStreams(cmd *cobra.Command, o *operation, lost bool) error {
	return (&recovering{operation: o, cmd: cmd, lost: lost}).do(true)
}
