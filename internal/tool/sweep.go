package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// sweeping is the sweep of a stream after its reset.
type sweeping struct {
	*operation
	resetting

	flags *resetFlags
	cmd   *cobra.Command
	again string // the command that goes on with it
}

// swept waits for the pass after a reset, and deletes what it did not show.
func (f *resetFlags) swept(cmd *cobra.Command, o *operation, r resetting) error {
	if r.going == nil {
		return errors.New("the sweep was ended by another command")
	}
	x := &sweeping{operation: o, resetting: r, flags: f, cmd: cmd}
	x.again = fmt.Sprintf("`millrace reset %s %s --sweep`", o.file, x.stream())
	if r.opts.Forget {
		x.again = fmt.Sprintf("`millrace reset %s %s --all`", o.file, x.stream())
	}
	ctx := cmd.Context()
	if err := x.awaitPass(ctx); err != nil {
		return err
	}
	s, err := reset.Look(ctx, r.cfg, r.going)
	if err != nil {
		return err
	}
	const some = 5
	x.done.Sweep = &sweptOut{Keys: s.Keys, Gone: s.Gone(), Held: s.Held, Examples: append([]string{}, s.Examples(some)...)}
	x.sayf("the pass did not show %s", found(s))
	if err := x.allow(s); err != nil {
		return err
	}
	if err := x.older(ctx); err != nil { // first: until the sweep has ended, the command goes on with it
		return err
	}
	if err := x.delete(ctx, s); err != nil || !r.going.Forget {
		return err
	}
	return x.forget(ctx)
}

func (x *sweeping) stream() string { return x.cfg.Stream.Name }

func (x *sweeping) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(x.flags.out(x.cmd), x.stream()+": "+format+"\n", args...)
}

// awaitPass waits until a complete pass has ended.
func (x *sweeping) awaitPass(ctx context.Context) error {
	if x.servers.Own() {
		return fmt.Errorf("what the API shows no more is not deleted yet: start `millrace run %s`, and beside it %s, which continues", x.file, x.again)
	}
	view, err := x.decided(ctx)
	if err != nil {
		return err
	}
	if view.Stream(x.stream()).IsPaused("ingest") {
		x.sayf("ingest is paused: no pass ends until `millrace resume %s %s`", x.file, x.stream())
	}
	x.sayf("waiting for a complete pass; %s continues if this command ends before", x.again)
	return reset.Await(ctx, x.cfg, x.going, func(p reset.Passed) { x.sayf("%s", passText(p)) })
}

// allow says whether what was found may be deleted, and asks where it is more than the limit.
func (x *sweeping) allow(s *reset.Sweep) error {
	if s.Unknown > 0 && s.Gone() > 0 && !x.flags.letters {
		return fmt.Errorf("nothing was deleted: ingest has refused %s whose key it cannot read, and which the API may show; "+
			"`millrace dlq list %s %s` tells why; --ignore-letters deletes all the same", count(s.Unknown, "record"), x.file, x.stream())
	}
	limit := x.flags.limit
	if s.Share()*100 <= limit {
		return nil
	}
	question := fmt.Sprintf("%.1f %% of the keys are more than --sweep-limit %v. Delete them?", s.Share()*100, limit)
	if err := confirm(x.cmd, false, question); err != nil {
		return fmt.Errorf("nothing was deleted: %.1f %% of the keys are more than --sweep-limit %v; with a higher one, %s continues",
			s.Share()*100, limit, x.again)
	}
	return nil
}

// delete deletes the keys that were found.
func (x *sweeping) delete(ctx context.Context, s *reset.Sweep) error {
	deleted, err := s.Delete(ctx)
	if err != nil {
		return err
	}
	x.done.Sweep.Deleted = deleted
	if deleted > 0 {
		x.sayf("%s deleted: their tombstones are in %s, and the rows go when processor and sink have come to them",
			count(deleted, "key"), topics.Raw(x.Name, x.stream()))
	}
	return nil
}

// forget deletes the raw records from before the reset, when the processors have passed them.
func (x *sweeping) forget(ctx context.Context) error {
	for told := int64(-1); ; {
		left, err := x.left(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if left != told {
			x.sayf("waiting until the processors have passed the %d records that are left from before the reset", left)
			told = left
		}
		if err := stage.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := reset.Forget(ctx, x.cfg, x.going); err != nil {
		return err
	}
	x.done.Forgot = true
	x.sayf("the raw records from before the reset are deleted")
	return nil
}

// left is how many raw records from before the reset the processors of all lines have not passed.
func (x *sweeping) left(ctx context.Context) (all int64, err error) {
	lines, err := runningLines(ctx, x.operation.opts, x.Pipeline, x.stream())
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		n, err := reset.Left(ctx, x.cfg, line, x.going)
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

func passText(p reset.Passed) string {
	text := fmt.Sprintf("%d of %s complete", p.Complete, count(p.Slices, "slice"))
	if p.Doubtful > 0 {
		text += fmt.Sprintf("; of %d the pass has ended, but it is not known to be complete: ingest tells why in its log and on /readyz", p.Doubtful)
	}
	if p.Asking != "" && p.Pages > 0 {
		text += fmt.Sprintf("; %s has %s", strings.TrimSuffix(p.Asking, "/"), count(int(p.Pages), "page"))
	}
	return text
}

// found says what a sweep would delete.
func found(s *reset.Sweep) string {
	text := fmt.Sprintf("%d of %s", s.Gone(), count(s.Keys, "key"))
	if s.Gone() > 0 {
		const some = 5
		text += fmt.Sprintf(" (%.1f %%), as %s", s.Share()*100, strings.Join(s.Examples(some), ", "))
	}
	if s.Held > 0 {
		text += fmt.Sprintf("; %s more are kept, for records of theirs were refused", count(s.Held, "key"))
	}
	return text
}
