package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Evict kills connections of our own user in this schema: after a restart of the server an id may be somebody else's.
// An owner that is not frozen after all connects again, and finds that it is fenced.
func (*Dialect) Evict(ctx context.Context, db *sql.DB, connections []uint64) (int, error) {
	killed := 0
	var errs []error
	for _, id := range connections {
		ours, err := isOurs(ctx, db, id)
		if err == nil && ours {
			_, err = db.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
		}
		const noSuchThread = 1094
		switch {
		case err != nil && number(err) != noSuchThread:
			errs = append(errs, fmt.Errorf("kill connection %d of a frozen sink: %w; the sinks must use one MySQL user, or have CONNECTION_ADMIN", id, err))
		case err == nil && ours:
			killed++
		}
	}
	return killed, errors.Join(errs...)
}

// isOurs reports whether a connection is of our user and in our schema.
func isOurs(ctx context.Context, db *sql.DB, connection uint64) (bool, error) {
	var user, schema string
	if err := db.QueryRowContext(ctx, "SELECT USER(), DATABASE()").Scan(&user, &schema); err != nil {
		return false, err
	}
	all, err := readProcesslist(ctx, db)
	is, ok := all[strconv.FormatUint(connection, 10)]
	return ok && strings.HasPrefix(user, is.user+"@") && is.schema == schema, err
}

// session is a connection of the server's.
type session struct{ user, host, schema string }

// processlist is connections by their ids.
type processlist map[string]session

// of is a connection, for people.
func (p processlist) of(id string) string {
	if is, ok := p[id]; ok {
		return "connection " + id + " of " + is.user + "@" + is.host
	}
	return "connection " + id
}

// readProcesslist reads SHOW PROCESSLIST, for information_schema.processlist fails where any session's statement cannot
// be converted to utf8mb3.
func readProcesslist(ctx context.Context, db *sql.DB) (processlist, error) {
	rows, err := db.QueryContext(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.NullString, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	out := processlist{}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		const id, name, host, in = 0, 1, 2, 3 // the places of Id, User, Host and db
		out[values[id].String] = session{values[name].String, values[host].String, values[in].String}
	}
	return out, rows.Err()
}
