package mysql

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Like makes t by CREATE TABLE … LIKE, which copies no foreign keys and no triggers, and alters it. Columns that both
// logics have with the same definition stay as they are there: somebody may have made them wider. New ones come after
// the one that is before them in t.
func (*Dialect) Like(ctx context.Context, db *sql.DB, t *rows.Table, like string, was *rows.Table) ([]string, error) {
	is, err := columnsOf(ctx, db, like)
	if err != nil {
		return nil, err
	}
	all, err := indexesOf(ctx, db, like)
	if err != nil {
		return nil, err
	}
	var changes []string
	for _, index := range all {
		changes = append(changes, "DROP INDEX "+dialect.Quote(index.name))
	}
	otherKey := !slices.EqualFunc(keyOf(is), keyColumns(t), strings.EqualFold)
	if otherKey {
		changes = append(changes, "DROP PRIMARY KEY")
	}
	for _, c := range was.Columns {
		if _, there := is[strings.ToLower(c.Name)]; there && column(t, c.Name) == nil {
			changes = append(changes, "DROP COLUMN "+dialect.Quote(c.Name))
		}
	}
	place := " FIRST"
	for _, c := range t.Columns {
		before := column(was, c.Name)
		switch _, there := is[strings.ToLower(c.Name)]; {
		case !there:
			changes = append(changes, "ADD COLUMN "+definition(c)+place)
		case before == nil || definition(*before) != definition(c):
			changes = append(changes, "MODIFY COLUMN "+definition(c))
		}
		place = " AFTER " + dialect.Quote(c.Name)
	}
	if otherKey {
		changes = append(changes, "ADD PRIMARY KEY ("+dialect.KeyNames(t)+")")
	}
	out := []string{"CREATE TABLE " + dialect.Quote(t.Name) + " LIKE " + dialect.Quote(like)}
	if len(changes) > 0 {
		out = append(out, "ALTER TABLE "+dialect.Quote(t.Name)+" "+strings.Join(changes, ", "))
	}
	return out, nil
}

// column is that of a name, or nil.
func column(t *rows.Table, name string) *rows.Column {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i]
		}
	}
	return nil
}

func keyColumns(t *rows.Table) (names []string) {
	for _, i := range t.Key {
		names = append(names, t.Columns[i].Name)
	}
	return names
}

// keyOf are the names of the primary key's columns, in its order.
func keyOf(is map[string]dialect.Existing) []string {
	places := map[int]string{}
	for name, e := range is {
		if e.Key > 0 {
			places[e.Key] = name
		}
	}
	var names []string
	for i := 1; i <= len(places); i++ {
		names = append(names, places[i])
	}
	return names
}

// index is one that is not the primary key.
type index struct {
	name       string
	definition string   // as in CREATE TABLE
	columns    []string // that it names
}

var quoted = regexp.MustCompile("`((?:[^`]|``)+)`")

// indexesOf reads the indexes of a table from its definition: information_schema does not have all of it.
func indexesOf(ctx context.Context, db *sql.DB, table string) (all []index, err error) {
	var name, text string
	if err := db.QueryRowContext(ctx, "SHOW CREATE TABLE "+dialect.Quote(table)).Scan(&name, &text); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		kind, rest, found := strings.Cut(line, "KEY `")
		if !found || !slices.Contains([]string{"", "UNIQUE ", "FULLTEXT ", "SPATIAL "}, kind) {
			continue
		}
		rest = "`" + rest
		if at := strings.Index(rest, " COMMENT '"); at >= 0 {
			rest = rest[:at]
		}
		rest, _, _ = strings.Cut(rest, " /*!")
		x := index{definition: line}
		for i, found := range quoted.FindAllStringSubmatch(rest, -1) {
			name := strings.ReplaceAll(found[1], "``", "`")
			if i == 0 {
				x.name = name
			} else {
				x.columns = append(x.columns, name)
			}
		}
		all = append(all, x)
	}
	return all, nil
}

// Indexes is one ALTER TABLE, so that all are made at once. A unique index is left out: an upsert would change
// whichever row it hits.
func (*Dialect) Indexes(ctx context.Context, db *sql.DB, t *rows.Table, like string) (add string, left []string, err error) {
	wanted, err := indexesOf(ctx, db, like)
	if err != nil {
		return "", nil, err
	}
	there, err := indexesOf(ctx, db, t.Name)
	if err != nil {
		return "", nil, err
	}
	is, err := columnsOf(ctx, db, t.Name)
	if err != nil {
		return "", nil, err
	}
	var adds []string
	for _, x := range wanted {
		lacks := slices.IndexFunc(x.columns, func(name string) bool {
			_, has := is[strings.ToLower(name)]
			return !has
		})
		switch {
		case slices.ContainsFunc(there, func(o index) bool { return strings.EqualFold(o.name, x.name) }):
		case strings.HasPrefix(x.definition, "UNIQUE"):
			left = append(left, x.name+": it is unique")
		case lacks >= 0:
			left = append(left, x.name+": there is no column "+x.columns[lacks])
		default:
			adds = append(adds, "ADD "+x.definition)
		}
	}
	if len(adds) > 0 {
		add = "ALTER TABLE " + dialect.Quote(t.Name) + " " + strings.Join(adds, ", ")
	}
	return add, left, nil
}

// OpenLong waits for an answer as long as it takes.
func (m *Dialect) OpenLong(lockWait time.Duration) (*sql.DB, error) {
	long := *m
	long.cfg = m.cfg.Clone()
	long.cfg.ReadTimeout = 0
	return long.Open(lockWait)
}
