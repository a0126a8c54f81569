//go:build integration

package lines_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/internal/testworld"
)

// TestShadowFilledInKeyOrder: the live table exceeds what MySQL keeps of tables in memory, so the line's is filled in
// the order of its keys, which is told with figures, while records come. It ends as a fresh run, and a process goes on
// with it.
func TestShadowFilledInKeyOrder(t *testing.T) {
	server := testservers.NewMySQLWith(t, "--innodb-buffer-pool-size=5M", "--innodb-buffer-pool-chunk-size=1M")
	w := &world{testworld.OnMySQL(t, before, 3, server.DSN())}
	stop, _ := w.Process(before, "live")
	var records []*kgo.Record
	for i := range 40_000 {
		records = append(records, testworld.Raw(i*7919%40_000, "open", i))
	}
	w.Write(records...)
	w.Write(testworld.Some(0, 500)...) // revisions, removals and refused ones, of a hundred keys
	w.Becomes("t", logicBefore)
	stop()
	for _, statement := range []string{
		// else the server may not know yet how large it is
		"ALTER TABLE t ADD COLUMN padding CHAR(200) NOT NULL DEFAULT 'x', ALGORITHM = COPY", "ANALYZE TABLE t",
	} {
		if _, err := w.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var log testkit.Buffer
	env := w.Env("builder")
	env.Log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &log), nil))
	b, err := lines.Open(w.Of(after), "s", env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	still := w.Traffic(500)
	run := w.build(b, true)
	w.built(run)
	still()
	w.Process(before, "live again")
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
	for _, want := range []string{"it is filled in the order of its keys", "filling in key order: ", `msg="filled in key order"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the builder's log does not say %q", want)
		}
	}
}
