//go:build integration

package foreign_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

// TestOnKafkaAndMySQL: the file that init writes, with the two lines for servers uncommented, on real ones: the types
// that it has found hold what the server has, and doctor finds nothing wrong before and after.
func TestOnKafkaAndMySQL(t *testing.T) {
	d := newDatasette(t, 250)
	brokers, dsn := testservers.NewKafka(t).Brokers()[0], testservers.NewMySQL(t).DSN()
	u := newUser(t, "SHOP_DSN="+dsn)
	u.millrace("init", d.url+"/shop/orders.json", "-o", "shop.yaml", "--pipeline", "shop")
	u.change("shop.yaml", "# kafka: {brokers: [localhost:9092]}", fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", brokers))
	u.change("shop.yaml", `# database: {mysql: "app:${MYSQL_PASSWORD}@tcp(localhost:3306)/shop"}`, `database: {mysql: "${SHOP_DSN}"}`)
	u.change("shop.yaml", "# deletes: complete_read", "deletes: complete_read")
	for _, want := range [][]string{{"5 are not there; the stages make them", "table orders: is not there"}, {"topics: all are as the file says", "table orders: fits", "the user may read and write"}} {
		out := u.millrace("doctor", "shop.yaml")
		for _, text := range append(want, "kafka: groups", "kafka: transactions", "mysql: rights") {
			if !strings.Contains(out, text) {
				t.Errorf("doctor does not say %q:\n%s", text, out)
			}
		}
		if strings.Contains(out, "fail") {
			t.Errorf("doctor:\n%s", out)
		}
		u.millrace("run", "shop.yaml", "--once", "--listen", "", "--log-level", "warn")
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	table := func() (out []string) {
		rows, err := db.QueryContext(t.Context(), "SELECT id, customer, CAST(total AS DOUBLE), qty, COALESCE(note, 'NULL'), CAST(updated_at AS CHAR) FROM orders")
		if err != nil {
			return []string{err.Error()}
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var v [6]string
			if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5]); err != nil {
				return []string{err.Error()}
			}
			out = append(out, strings.Join(v[:], " | "))
		}
		if err := rows.Err(); err != nil {
			return []string{err.Error()}
		}
		slices.Sort(out)
		return out
	}
	server := func() []string { return query(t, d.at, ordersOfServer) }
	same(t, "in MySQL, after one pass", server, table)

	u.change("shop.yaml", "every: 5m", "every: 500ms")
	u.change("shop.yaml", "{requests: 5, per: 1s}", "{requests: 100, per: 1s}")
	stop := u.run("run", "shop.yaml", "--listen", "")
	for round := range 8 {
		d.disturb(t, round)
	}
	same(t, "in MySQL, after 80 revisions, 16 deletions and 8 additions", server, table)
	stop()
	same(t, "after it has stopped", server, table)
}
