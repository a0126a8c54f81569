//go:build integration

package foreign_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// datasette is a Datasette on a database of orders.
type datasette struct {
	url string
	db  *sql.DB
	at  string // path of the database
}

// installDatasette installs it, from PyPI, and returns the path of its binary.
func installDatasette(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	dir := cache(t, "datasette-0.65.5")
	binary := filepath.Join(dir, "bin", "datasette")
	if !there(filepath.Join(dir, "complete")) {
		install(t, dir, nil, python, "-m", "venv", dir)
		install(t, dir, nil, filepath.Join(dir, "bin", "pip"), "install", "-q", "datasette==0.65.5", "datasette-graphql==2.2")
		if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return binary
}

func newDatasette(t *testing.T, orders int) *datasette {
	t.Helper()
	binary := installDatasette(t)
	d := &datasette{at: filepath.Join(t.TempDir(), "shop.db")}
	var err error
	if d.db, err = sql.Open("sqlite", "file:"+d.at+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(20000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.db.Close() })
	d.exec(t, `CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total TEXT NOT NULL, qty INTEGER, note TEXT, updated_at TEXT NOT NULL)`)
	for i := range orders {
		d.insert(t, i+1)
	}
	port := freePort(t)
	d.url = "http://127.0.0.1:" + port
	serve(t, filepath.Dir(d.at), nil, d.url+"/shop.json", binary, "serve", d.at, "--port", port)
	return d
}

func (d *datasette) exec(t *testing.T, text string, args ...any) {
	t.Helper()
	if _, err := d.db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func moment(i int) string {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute).Format("2006-01-02T15:04:05Z")
}

func (d *datasette) insert(t *testing.T, id int) {
	t.Helper()
	var note any
	if id%3 == 0 {
		note = fmt.Sprintf("note %d: \"ü\", 'ß' and %s", id, strings.Repeat("x", id%50))
	}
	d.exec(t, "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", id, fmt.Sprintf("Customer %d", id%17), fmt.Sprintf("%d.%02d", id*3, id%100), id%7, note, moment(id))
}

// disturb revises, deletes and adds orders, with other numbers in each round.
func (d *datasette) disturb(t *testing.T, round int) {
	t.Helper()
	for i := range 10 {
		at := round*20 + i*2 + 1
		d.exec(t, "UPDATE orders SET total = ?, note = ?, updated_at = ? WHERE id = ?", fmt.Sprintf("%d.50", round), fmt.Sprintf("round %d", round), moment(10000+round*100+i), at)
	}
	d.exec(t, "DELETE FROM orders WHERE id = ?", round*20+2)
	d.exec(t, "DELETE FROM orders WHERE id = ?", round*20+4)
	d.insert(t, 1000+round)
}

const (
	ordersOfServer = "SELECT id, customer, CAST(total AS REAL), qty, note, replace(replace(updated_at, 'T', ' '), 'Z', '') FROM orders"
	ordersOfTable  = "SELECT id, customer, CAST(total AS REAL), qty, note, updated_at || '' FROM orders"
)

// TestDatasette: from a URL to a table, with revisions and deletions under way.
func TestDatasette(t *testing.T) {
	d := newDatasette(t, 250)
	u := newUser(t)
	u.millrace("init", d.url+"/shop/orders.json", "-o", "shop.yaml", "--pipeline", "shop")
	if out := u.millrace("preview", "shop.yaml", "orders"); !strings.Contains(out, "200 records with 200 keys: 200 rows, 0 without a row, 0 dead letters") {
		t.Errorf("preview:\n%s", out)
	}
	u.change("shop.yaml", "# deletes: complete_read", "deletes: complete_read")
	u.millrace("record", "shop.yaml", "--pages", "2")
	u.millrace("test", "shop.yaml", "--update")
	if out := u.millrace("test", "shop.yaml"); !strings.HasPrefix(out, "ok ") {
		t.Errorf("test:\n%s", out)
	}
	u.millrace("run", "shop.yaml", "--once", "--listen", "", "--log-level", "warn")
	server := func() []string { return query(t, d.at, ordersOfServer) }
	table := func() []string { return u.table("shop", ordersOfTable) }
	same(t, "after one pass", server, table)

	u.change("shop.yaml", "every: 5m", "every: 500ms")
	u.change("shop.yaml", "{requests: 5, per: 1s}", "{requests: 100, per: 1s}")
	stop := u.run("run", "shop.yaml", "--listen", "")
	for round := range 8 {
		d.disturb(t, round)
	}
	same(t, "after 80 revisions, 16 deletions and 8 additions", server, table)
	stop()
	same(t, "after it has stopped", server, table)
}

const graphqlPipeline = `pipeline: shop
http: {base_url: "URL", rate_limit: {requests: 100, per: 1s}}
streams:
  orders:
    ingest:
      path: /graphql/shop
      body:
        graphql:
          query: |
            query($after: String) {
              orders(first: 40, after: $after) {
                nodes { id customer total qty note updated_at }
                pageInfo { hasNextPage endCursor }
              }
            }
          variables: {after: "{cursor}"}
      records: data.orders.nodes
      key: id
      version: updated_at
      paginate: {relay: data.orders.pageInfo}
      deletes: complete_read
      every: 500ms
    sink:
      table: orders
      columns: {id: bigint key, customer: varchar(255), total: "decimal(12,2)", qty: int, note: text, updated_at: datetime}
`

// TestGraphQL: the same database by GraphQL, with Relay pages.
func TestGraphQL(t *testing.T) {
	d := newDatasette(t, 250)
	u := newUser(t)
	u.write("shop.yaml", strings.Replace(graphqlPipeline, "URL", d.url, 1))
	if out := u.millrace("preview", "shop.yaml"); !strings.Contains(out, "80 records with 80 keys: 80 rows") {
		t.Errorf("preview:\n%s", out)
	}
	server := func() []string { return query(t, d.at, ordersOfServer) }
	table := func() []string { return u.table("shop", ordersOfTable) }
	stop := u.run("run", "shop.yaml", "--listen", "")
	for round := range 8 {
		d.disturb(t, round)
	}
	same(t, "by GraphQL, after 80 revisions, 16 deletions and 8 additions", server, table)
	stop()
	same(t, "after it has stopped", server, table)
}
