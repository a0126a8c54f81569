package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/topics"
)

const table = "flights"

// applied returns the sum of the sink's next offsets.
func applied(db *sql.DB, pipeline string) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		var sum sql.NullInt64
		err := db.QueryRowContext(ctx, "SELECT SUM(next_offset) FROM millrace_offsets WHERE topic = ?",
			topics.Processed(pipeline, stream)).Scan(&sum)
		if err != nil && strings.Contains(err.Error(), "doesn't exist") {
			return 0, nil
		}
		return sum.Int64, err
	}
}

func count(ctx context.Context, db *sql.DB) (n int, err error) {
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n)
	return n, err
}

// dump writes the rows of the table, in the order of the primary key, to n files for LOAD DATA, cut into
// contiguous pieces. It returns the files and the list of columns.
func dump(ctx context.Context, db *sql.DB, dir string, n int) (files []string, columns string, err error) {
	total, err := count(ctx, db)
	if err != nil {
		return nil, "", err
	}
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+table+" ORDER BY time_hour, carrier, flight")
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, "", err
	}
	cells := make([]sql.RawBytes, len(names))
	into := make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	escape := strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\x00", "\\0")
	for piece := range n {
		name := filepath.Join(dir, fmt.Sprintf("rows-%d.tsv", piece))
		files = append(files, name)
		f, err := os.Create(name)
		if err != nil {
			return nil, "", err
		}
		out := bufio.NewWriterSize(f, 1<<20)
		for i := piece * total / n; i < (piece+1)*total/n && rows.Next(); i++ {
			if err := rows.Scan(into...); err != nil {
				return nil, "", err
			}
			writeLine(out, cells, escape)
		}
		if err := out.Flush(); err != nil {
			return nil, "", err
		}
		if err := f.Close(); err != nil {
			return nil, "", err
		}
	}
	return files, "(" + strings.Join(names, ",") + ")", rows.Err()
}

func writeLine(out *bufio.Writer, cells []sql.RawBytes, escape *strings.Replacer) {
	for i, cell := range cells {
		if i > 0 {
			_ = out.WriteByte('\t')
		}
		if cell == nil {
			_, _ = out.WriteString(`\N`)
			continue
		}
		_, _ = escape.WriteString(out, string(cell))
	}
	_ = out.WriteByte('\n')
}

// bump rewrites files made by dump with other values in a column of numbers, so that loading them again
// updates every row.
func bump(files []string, column int) error {
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		out.Grow(len(content) + len(content)/50)
		for line := range bytes.Lines(content) {
			cells := bytes.SplitN(line, []byte{'\t'}, column+2)
			cells[column] = append([]byte("1"), cells[column]...)
			out.Write(bytes.Join(cells, []byte{'\t'}))
		}
		if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
