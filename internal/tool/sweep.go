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

// swept waits for the pass after a reset, and deletes what it did not show.
func (f *resetFlags) swept(cmd *cobra.Command, o *operation, r resetting) error {
	ctx, name := cmd.Context(), r.cfg.Stream.Name
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), name+": "+format+"\n", args...)
	}
	if r.going == nil {
		return errors.New("the sweep was ended by another command")
	}
	again := fmt.Sprintf("`millrace reset %s %s --sweep`", o.file, name)
	if r.opts.Forget {
		again = fmt.Sprintf("`millrace reset %s %s --all`", o.file, name)
	}
	if o.servers.Own() {
		return fmt.Errorf("what the API shows no more is not deleted yet: start `millrace run %s`, and beside it %s, which goes on", o.file, again)
	}
	view, err := o.decided(ctx)
	if err != nil {
		return err
	}
	if view.Stream(name).IsPaused("ingest") {
		say("ingest is paused: no pass ends until `millrace resume %s %s`", o.file, name)
	}
	say("waiting for a complete pass; %s goes on if this command ends before", again)
	if err := reset.Await(ctx, r.cfg, r.going, func(p reset.Passed) { say("%s", passText(p)) }); err != nil {
		return err
	}
	s, err := reset.Look(ctx, r.cfg, r.going)
	if err != nil {
		return err
	}
	say("the pass did not show %s", found(s))
	if s.Unknown > 0 && s.Gone() > 0 && !f.letters {
		return fmt.Errorf("nothing was deleted: ingest has refused %s whose key it cannot read, and which the API may show; "+
			"`millrace dlq list %s %s` tells why; --ignore-letters deletes all the same", count(s.Unknown, "record"), o.file, name)
	}
	if s.Share()*100 > f.limit {
		question := fmt.Sprintf("%.1f %% of the keys are more than --sweep-limit %v. Delete them?", s.Share()*100, f.limit)
		if err := confirm(cmd, false, question); err != nil {
			return fmt.Errorf("nothing was deleted: %.1f %% of the keys are more than --sweep-limit %v; with a higher one, %s goes on",
				s.Share()*100, f.limit, again)
		}
	}
	if err := f.older(cmd, o, r, say); err != nil { // first: until the sweep has ended, the command goes on with it
		return err
	}
	deleted, err := s.Delete(ctx)
	if err != nil {
		return err
	}
	if deleted > 0 {
		say("%s deleted: their tombstones are in %s, and the rows go when processor and sink have come to them",
			count(deleted, "key"), topics.Raw(o.Name, name))
	}
	if !r.going.Forget {
		return nil
	}
	return forget(ctx, r, say)
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

// forget deletes the raw records from before the reset, when the processors have passed them.
func forget(ctx context.Context, r resetting, say func(string, ...any)) error {
	for told := int64(-1); ; {
		left, err := reset.Left(ctx, r.cfg, r.going)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if left != told {
			say("waiting until the processors have passed the %d records that are left from before the reset", left)
			told = left
		}
		if err := stage.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := reset.Forget(ctx, r.cfg, r.going); err != nil {
		return err
	}
	say("the raw records from before the reset are deleted")
	return nil
}
