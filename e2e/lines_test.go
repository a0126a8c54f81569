//go:build integration

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// line is a line of a stream: whose topics it has, and what its table is called now.
type line struct {
	pipeline, table string
	// it is the second one: its amounts are of another factor, and, of the stream "ordered", its key is another
	shadow bool
}

// key is the key column.
func (l line) key(stream string) string {
	if l.shadow && stream == "ordered" {
		return "code"
	}
	return "id"
}

// keyOf is the key that a revision has in the line's table.
func (l line) keyOf(r revision) string {
	if l.key(r.stream) == "code" {
		return codePrefix + r.key
	}
	return r.key
}

const codePrefix = "c-"

// row is what the line's table holds of a revision.
func (l line) row(r revision) tableRow {
	row := r.row()
	if l.shadow {
		amount, _ := strconv.ParseInt(row.amount, 10, 64)
		row.amount = strconv.FormatInt(amount/2*3, 10)
	}
	return row
}

// changedSteps are the steps and columns of the second line of a stream, in the place of those of processAndSink.
func changedSteps(t testing.TB, file, stream string) string {
	t.Helper()
	before := fmt.Sprintf(processAndSink[strings.Index(processAndSink, "      - map"):], stream)
	after := fmt.Sprintf(`      - map: {id: id, rev: rev, amount: amount * 3, note: note, total: amount}
    sink:
      table: %s
      columns: {id: varchar(40) key, rev: bigint, amount: bigint, note: varchar(20), total: bigint}
`, stream)
	if stream == "ordered" {
		after = fmt.Sprintf(`      - map: {code: '"%s" + id', rev: rev, amount: amount * 3, note: note, total: amount}
    sink:
      table: %s
      columns: {code: varchar(42) key, rev: bigint, amount: bigint, note: varchar(20), total: bigint}
`, codePrefix, stream)
	}
	if strings.Count(file, before) != 1 {
		t.Fatalf("the file has these steps %d times:\n%s", strings.Count(file, before), before)
	}
	return strings.Replace(file, before, after, 1)
}

// pipelinesOf are those whose topics a stream has: the pipeline itself, and its second line.
func (w *world) pipelinesOf(stream string) []string {
	if slices.Contains(w.shadowed, stream) {
		return []string{w.pipeline, topics.LineName(w.pipeline, stream, 2)}
	}
	return []string{w.pipeline}
}

// watched are the streams whose tables have triggers: a swap refuses them.
func (w *world) watched() (out []string) {
	for _, stream := range w.source.names {
		if !slices.Contains(w.shadowed, stream) {
			out = append(out, stream)
		}
	}
	return out
}

// decided is what is decided about a stream.
func (w *world) decided(ctx context.Context, stream string) (*control.Stream, error) {
	return control.About(ctx, control.Config{Pipeline: w.pipeline, Client: []kgo.Opt{kgo.SeedBrokers(w.brokers...)}}, stream)
}

// lines are those of every stream, by what is decided.
func (w *world) lines(ctx context.Context) (map[string][]line, error) {
	out := map[string][]line{}
	for _, stream := range w.source.names {
		out[stream] = []line{{pipeline: w.pipeline, table: stream}}
		if !slices.Contains(w.shadowed, stream) {
			continue
		}
		s, err := w.decided(ctx, stream)
		if err != nil {
			return nil, err
		}
		out[stream] = append(out[stream], line{pipeline: topics.LineName(w.pipeline, stream, 2), shadow: true, table: stream})
		for i := range out[stream] {
			if number := uint16(i + 1); number != s.LiveNumber() {
				out[stream][i].table = s.Line(number).Table
			}
		}
	}
	return out, nil
}
