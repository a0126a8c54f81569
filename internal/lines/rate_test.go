package lines_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
)

// TestARateThatDoesNotCatchUp: of a line that is built more slowly than records arrive the builder's log, the health of
// processors and the status say so, with the command that helps. With another rate it is built, and its table is that
// of a fresh run.
func TestARateThatDoesNotCatchUp(t *testing.T) {
	const many = 2000
	w := newWorld(t, 2)
	_, health := w.Process(before, "live")
	for i := 0; i < many; i += 500 {
		w.Write(testworld.Some(i, 500)...)
	}
	w.Becomes("t", logicBefore)
	env, log := w.Env("builder"), &testkit.Buffer{}
	env.Log = slog.New(slog.NewTextHandler(log, nil))
	b, err := lines.Open(w.Of(after), "s", env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	plan, err := b.Begin(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	stop := w.Traffic(many)
	ctx, cancel := context.WithTimeout(t.Context(), 2*testworld.Patience)
	defer cancel()
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- b.Run(ctx, plan.Number, work(false)) }()
	for who, text := range map[string]func() (string, error){
		"the log": func() (string, error) { return log.String(), nil },
		"health":  func() (string, error) { return health.Degraded()["processor s, line 2"], nil },
		"the status": func() (string, error) {
			all, err := w.builder(after, "status").Status(t.Context())
			if err != nil || len(all) != 2 || all[1].Rate != 5 || all[1].Arriving == nil {
				return "", errors.Join(err, fmt.Errorf("%+v", all))
			}
			return all[1].DoesNotCatchUp, nil
		},
	} {
		testkit.Eventually(t, testworld.Patience, func() error {
			is, err := text()
			for _, want := range []string{"does not catch up: ", " records/s arrive, and --rate 5 takes ", "give a higher --rate: millrace replay shop.yaml s --shadow --rate "} {
				if err == nil && !strings.Contains(is, want) {
					err = fmt.Errorf("%s says %q, want %q", who, is, want)
				}
			}
			return err
		})
	}
	stop()
	if plan, err = w.builder(after, "other").Begin(t.Context(), 20_000); err != nil || !plan.Goes {
		t.Fatalf("%+v, %v", plan, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	w.Becomes("t__g2", logicAfter)
	w.Becomes("t", logicBefore)
	testkit.Eventually(t, testworld.Patience, func() error {
		if is := health.Degraded()["processor s, line 2"]; is != "" {
			return fmt.Errorf("health says %q", is)
		}
		return nil
	})
}
