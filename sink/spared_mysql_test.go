//go:build integration

package sink

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSparedAreWhatTryingFinds: removals are refused, for the tables that refer to their rows, as if each had been
// tried.
func TestSparedAreWhatTryingFinds(t *testing.T) {
	const n = 1000
	for name, c := range map[string]struct {
		prepare    []string
		most, want int // statements, letters
	}{
		"one table": {nil, 40, 200},
		"a trigger that refuses one as well": {
			[]string{"CREATE TRIGGER t BEFORE DELETE ON things FOR EACH ROW IF OLD.n = 7 THEN SIGNAL SQLSTATE '45000'; END IF"}, 3 * n, 201,
		},
		"two tables": { // it is not known which of them keeps a row
			[]string{
				"CREATE TABLE more (id varchar(20) COLLATE utf8mb4_0900_bin PRIMARY KEY, FOREIGN KEY (id) REFERENCES things (id))",
				"INSERT INTO more SELECT id FROM things WHERE id LIKE '%2'",
			}, 3 * n, 300,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onMySQL(t), false)
			f.store.cfg.LoadRows = 1000
			var events, removes []event
			for i := range int64(n) {
				key := fmt.Sprintf("k%04d", i)
				events = append(events, event{i, 0, key, row(int(i))})
				removes = append(removes, event{n + i, 0, key, nil})
			}
			f.apply(events...)
			withChildren(t, f)
			run(t, f.store.db, c.prepare...)
			var want map[string]string
			f.withoutBent(func() { want = f.reasons(removes) })
			before := f.questions()
			if d := cmp.Diff(want, f.reasons(removes)); d != "" {
				t.Fatalf("(-tried +spared):\n%s", d)
			}
			statements := f.questions() - before - 1
			if t.Logf("%d of %d refused: %d statements", len(want), n, statements); statements > c.most {
				t.Errorf("%d statements, want at most %d", statements, c.most)
			}
			if len(want) != c.want {
				t.Errorf("%d refused, want %d", len(want), c.want)
			}
			if got := f.apply(removes...); len(got) != c.want || len(f.column("n")) != c.want {
				t.Errorf("%d letters, %d rows, want %d", len(got), len(f.column("n")), c.want)
			}
		})
	}
}
