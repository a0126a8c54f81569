//go:build integration

package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

// TestListsOfLiterals: the guard moves the same rows in the form for servers before 8.0.19 and in the other.
func TestListsOfLiterals(t *testing.T) {
	for name, values := range map[string]bool{"UNION ALL": true, "VALUES": false} {
		t.Run(name, func(t *testing.T) {
			m, err := New(pipeline.Secret(testservers.MySQL(t)))
			if err != nil {
				t.Fatal(err)
			}
			db, err := m.Open(time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			m.values = values
			for _, statement := range append(m.CreateOwn(), `INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, owner, updated_at) VALUES
				('t',0,'',5,'',X'000102030405060708090A0B0C0D0E0F',NOW()), ('t',1,'',6,'',X'000102030405060708090A0B0C0D0E0F',NOW()),
				('t',2,'',5,'',X'FF',NOW()), ('t',3,'',5,'',NULL,NOW()), ('u',0,'',18446744073709551615,'',X'000102030405060708090A0B0C0D0E0F',NOW())`) {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			token := make([]byte, 16)
			for i := range token {
				token[i] = byte(i)
			}
			var list []rows.Values
			for i := range 5 {
				list = append(list, rows.Values{}.Append(rows.Text, []byte("t")).Append(rows.Number, fmt.Append(nil, i)).Append(rows.Bytes, token).
					Append(rows.Number, []byte("5")).Append(rows.Number, []byte("9")).Append(rows.Bytes, []byte("12345678")).Append(rows.Bytes, []byte("w")))
			}
			held := string(m.Statements().HeldOffsets.Append(nil, m, list))
			var at string
			if err := db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(CONCAT(topic, part)) FROM ("+held+") AS x").Scan(&at); err != nil || at != "t0" {
				t.Errorf("held are %q, %v; want t0 alone", at, err)
			}
			done, err := db.ExecContext(t.Context(), string(m.Statements().MoveOffsets.Append(nil, m, list)))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := done.RowsAffected(); err != nil || n != 1 {
				t.Errorf("%d rows moved, %v; want one", n, err)
			}
			if err := db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(next_offset ORDER BY topic, part) FROM millrace_offsets").Scan(&at); err != nil ||
				at != "9,6,5,5,18446744073709551615" {
				t.Errorf("offsets %s, %v", at, err)
			}
		})
	}
}
