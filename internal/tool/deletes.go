package tool

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/topics/control"
)

// newDeletesCommand is `millrace deletes`.
func newDeletesCommand() *cobra.Command {
	var allow, yes bool
	cmd := &cobra.Command{
		Use:   "deletes FILE [STREAM...]",
		Short: "Show what complete reads have not shown any more, and allow that it is deleted",
		Long: `Show, for each slice of the streams with ingest.deletes, how many keys the last complete read has shown, and how many it
has not shown any more that are not deleted: because they are more than ingest.deletes.at_most, or because they may have
slipped between two pages.

With --allow, the next complete read deletes those that are held because they are too many. If still more are missing by
then, it holds all of them again.`,
		Example: `  millrace deletes shop.yaml
  millrace deletes shop.yaml orders --allow`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return deletes(cmd, args, allow, yes) },
	}
	cmd.Flags().BoolVar(&allow, "allow", false, "have the next complete read delete what is held because it is too much at once")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// deletes is `millrace deletes`.
func deletes(cmd *cobra.Command, args []string, allow, yes bool) error {
	o, err := operate(cmd.Context(), args[0], streamsOf(args))
	if err != nil {
		return err
	}
	defer o.close()
	held, err := o.showDeletes(cmd.Context(), cmd.OutOrStdout())
	if err != nil || !allow {
		return err
	}
	if len(held) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing is held")
		return err
	}
	if err := confirm(cmd, yes, "Delete them?"); err != nil {
		return err
	}
	return o.allowDeletes(cmd, held)
}

// showDeletes shows what complete reads have left, and returns what is held, by stream and key of the slice.
func (o *operation) showDeletes(ctx context.Context, out io.Writer) (map[string]map[string]*cursor.Held, error) {
	all := map[string]map[string]*cursor.Held{}
	view, err := o.decided(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range o.streams {
		if s.Ingest.Deletes == nil {
			continue
		}
		cursors, err := reset.Cursors(ctx, reset.Config{Pipeline: o.Pipeline, Stream: s, Control: o.control, Client: o.client})
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(cursors)) {
			k := cursors[key].Known
			if k == nil {
				continue
			}
			allowed := view.Stream(s.Name).Deletes[key]
			if _, err := fmt.Fprintf(out, "%s: %s\n", strings.TrimSuffix(key, "/"), deletesText(k, allowed)); err != nil {
				return nil, err
			}
			if k.Left > 0 && k.Held != nil {
				if all[s.Name] == nil {
					all[s.Name] = map[string]*cursor.Held{}
				}
				all[s.Name][key] = k.Held
			}
		}
	}
	return all, nil
}

// deletesText says what complete reads of a slice have left.
func deletesText(k *cursor.Known, allowed control.Allowed) string {
	if k.Read == 0 {
		return "no complete read has ended yet"
	}
	text := fmt.Sprintf("the last complete read has shown %s", count(int(k.Keys), "key"))
	switch {
	case k.Left == 0:
		return text + "; nothing is left to delete"
	case k.Held == nil:
		return fmt.Sprintf("%s; %d more were not shown, and may have slipped between two pages: the next one tells", text, k.Left)
	}
	text = fmt.Sprintf("%s; %d of %d are held, as %s", text, k.Held.Keys, k.Held.Of, strings.Join(k.Held.As, ", "))
	if allowed.Since == k.Held.Since {
		text += fmt.Sprintf("; %s has allowed at %s to delete them", allowed.By, allowed.At.UTC().Format(time.RFC3339))
	}
	return text
}

// allowDeletes allows what is held.
func (o *operation) allowDeletes(cmd *cobra.Command, held map[string]map[string]*cursor.Held) error {
	at := time.Now().UTC().Truncate(time.Second)
	for _, stream := range slices.Sorted(maps.Keys(held)) {
		keys := int64(0)
		_, err := control.Change(cmd.Context(), o.control, stream, func(s *control.Stream) error {
			keys, s.Deletes = 0, map[string]control.Allowed{}
			for slice, h := range held[stream] {
				s.Deletes[slice] = control.Allowed{Since: h.Since, Keys: h.Keys, At: at, By: who()}
				keys += h.Keys
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("stream %s: %w", stream, err)
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: the next complete read deletes %s\n", stream, count(int(keys), "key")); err != nil {
			return err
		}
	}
	return nil
}
