package sink

import (
	"context"
	"errors"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Examine looks at the database before a sink runs: the server, and the tables that are there against the pipeline
// file. It changes nothing. The error says that it cannot be reached or used.
func (a *Admin) Examine(ctx context.Context) ([]dialect.Finding, error) {
	d, db := a.store.dialect, a.store.db
	var out []dialect.Finding
	if e, ok := d.(dialect.Examiner); ok {
		found, err := e.Examine(ctx, db)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if _, err := d.Inspect(ctx, db); err != nil {
		if server, ok := errors.AsType[*dialect.ServerError](err); ok {
			return append(out, dialect.Finding{What: "version", Problem: server.Error(), Fix: "use MySQL 8.0 or later"}), nil
		}
		return nil, err
	}
	for i := range a.pipeline.Streams {
		t := rows.NewTable(&a.pipeline.Streams[i])
		f := dialect.Finding{What: "table " + t.Name, Is: "fits"}
		made, err := d.Made(ctx, db, []string{t.Name})
		if err != nil {
			return out, err
		}
		if _, there := made[strings.ToLower(t.Name)]; !there {
			f.Is = "is not there; the sink makes it"
			out = append(out, f)
			continue
		}
		problems, err := d.Check(ctx, db, t)
		if err != nil {
			return out, err
		}
		for _, p := range problems {
			out = append(out, dialect.Finding{What: f.What, Problem: p, Fix: "as it says, or change sink.columns"})
		}
		other, err := a.otherOwner(ctx, t)
		if err != nil {
			return out, err
		}
		if other != nil {
			out = append(out, dialect.Finding{What: f.What, Problem: other.Owner, Fix: "give the stream another table, or, if it alone is to write this one: " + other.Remedy})
		}
		if len(problems) == 0 && other == nil {
			out = append(out, f)
		}
	}
	return out, nil
}
