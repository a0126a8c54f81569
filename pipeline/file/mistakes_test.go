package file_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline/file"
)

// rightFile is what the mistakes are made in.
const rightFile = `pipeline: shop
kafka: {brokers: [localhost:9092]}
database: {mysql: "app:${MYSQL_PASSWORD}@tcp(localhost:3306)/shop"}
http:
  base_url: https://api.example.com/v2
  auth: {bearer: "${SHOP_TOKEN}"}
  rate_limit: {requests: 20, per: 1s}
streams:
  orders:
    ingest:
      path: /orders
      query: {limit: "500"}
      records: data
      key: id
      paginate: {cursor: {next: meta.next_cursor, param: cursor}}
      incremental: {field: updated_at, param: updated_since, start: 2024-01-01T00:00:00Z, lookback: 10m}
      every: 30s
    process:
      - filter: status != "draft"
      - map:
          order_id: id
          customer: lower(customer.email)
          total: amount_cents / 100
    sink:
      table: orders
      columns: {order_id: bigint key, customer: varchar(255), total: "decimal(12,2)"}
`

// mistakes people make, each as what stands in the right file and what they write instead. Two tildes separate the two.
var mistakes = []string{
	// Keys.
	"a typo in a key ~~ base_url: ~~ baseurl:",
	"a typo at the top ~~ streams: ~~ stream:",
	"another tool's key ~~ records: data ~~ records_path: data",
	"a key one level too high ~~ http:\n  base_url: https://api.example.com/v2 ~~ base_url: https://api.example.com/v2\nhttp:",
	"a key of ingest in the stream ~~     ingest:\n      path: /orders ~~     every: 5m\n    ingest:\n      path: /orders",
	"a key of the sink in ingest ~~ key: id ~~ key: id\n      table: orders",
	"a key in capitals ~~ records: data ~~ Records: data",
	"a key twice ~~ key: id ~~ key: id\n      key: number",
	"no streams ~~ streams:\n  orders: ~~ streams: {}\nx-orders:\n  orders:",
	"no key ~~       key: id\n ~~ ",
	"no path ~~       path: /orders\n ~~ ",
	"no columns ~~       columns: {order_id: bigint key, customer: varchar(255), total: \"decimal(12,2)\"}\n ~~ ",
	"no name ~~ pipeline: shop\n ~~ ",
	// YAML.
	"a tab ~~     ingest:\n      path: /orders ~~     ingest:\n\t  path: /orders",
	"a brace that does not end ~~ query: {limit: \"500\"} ~~ query: {limit: \"500\"",
	"a reference without quotes in braces ~~ auth: {bearer: \"${SHOP_TOKEN}\"} ~~ auth: {bearer: ${SHOP_TOKEN}}",
	"a colon in a text without quotes ~~ total: amount_cents / 100 ~~ total: paid ? 1 : 0",
	"a map that is no list ~~       - filter: status != \"draft\"\n      - map:\n          order_id ~~       filter: status != \"draft\"\n      map:\n          order_id",
	"a list in the place of a text ~~ path: /orders ~~ path: [/orders]",
	"a text in the place of a mapping ~~ rate_limit: {requests: 20, per: 1s} ~~ rate_limit: 20/s",
	"nothing behind a key ~~ every: 30s ~~ every:",
	"wrong indentation ~~       records: data ~~        records: data",
	"an alias that is none ~~ records: data ~~ records: *data",
	// Values.
	"a duration without unit ~~ every: 30s ~~ every: 30",
	"a duration in words ~~ every: 30s ~~ every: 30 seconds",
	"a rate below 1 ~~ requests: 20 ~~ requests: 0",
	"a number with a unit ~~ requests: 20 ~~ requests: 20/s",
	"true in words ~~ param: cursor} ~~ param: cursor, absent_ends: maybe}",
	"brokers without a port ~~ [localhost:9092] ~~ [localhost]",
	"a pipeline with spaces ~~ pipeline: shop ~~ pipeline: My Shop",
	"a stream in capitals ~~   orders:\n    ingest ~~   Orders:\n    ingest",
	"a retry beyond its bounds ~~   rate_limit: {requests ~~   retry: {attempts: 0}\n  rate_limit: {requests",
	// Servers and secrets.
	"a secret that is not set ~~ ${SHOP_TOKEN} ~~ ${SHOP_TOKN}",
	"a reference without braces at its end ~~ \"${SHOP_TOKEN}\" ~~ \"${SHOP_TOKEN\"",
	"a reference in another tool's form ~~ \"${SHOP_TOKEN}\" ~~ \"${env:SHOP_TOKEN}\"",
	"a secret's file that is not there ~~ \"${SHOP_TOKEN}\" ~~ \"${file:secrets/none}\"",
	"a URL in the place of a DSN ~~ app:${MYSQL_PASSWORD}@tcp(localhost:3306)/shop ~~ mysql://app:${MYSQL_PASSWORD}@localhost:3306/shop",
	"a DSN without a schema ~~ (localhost:3306)/shop ~~ (localhost:3306)/",
	"another database ~~ database: {mysql: ~~ database: {postgres:",
	"two ways to log in ~~ {bearer: \"${SHOP_TOKEN}\"} ~~ {bearer: \"${SHOP_TOKEN}\", api_key: {header: X-Key, value: \"${SHOP_TOKEN}\"}}",
	"an auth of another name ~~ auth: {bearer: ~~ auth: {token:",
	"an API key right below auth ~~ {bearer: \"${SHOP_TOKEN}\"} ~~ {header: X-Api-Key, value: \"${SHOP_TOKEN}\"}",
	"a bearer that is not below auth ~~   auth: {bearer: \"${SHOP_TOKEN}\"} ~~   bearer: \"${SHOP_TOKEN}\"",
	"an API key without a place ~~ {bearer: \"${SHOP_TOKEN}\"} ~~ {api_key: {value: \"${SHOP_TOKEN}\"}}",
	// Requests.
	"a base URL without scheme ~~ https://api.example.com/v2 ~~ api.example.com/v2",
	"credentials in the base URL ~~ https://api ~~ https://me:pw@api",
	"a path without slash ~~ path: /orders ~~ path: orders",
	"a query in the path ~~ path: /orders ~~ path: /orders?limit=500",
	"a slice of no name ~~ path: /orders ~~ path: /shops/{shop}/orders",
	"a parameter that two keys set ~~ query: {limit: \"500\"} ~~ query: {cursor: \"500\"}",
	"JSONPath for a path ~~ records: data ~~ records: $.data",
	"an index in a path ~~ records: data ~~ records: data[0].items",
	"a cursor that lies among the records ~~ next: meta.next_cursor ~~ next: data.next_cursor",
	"a pagination that is unknown ~~ paginate: {cursor: {next: meta.next_cursor, param: cursor}} ~~ paginate: next_link",
	"two paginations ~~ param: cursor}} ~~ param: cursor}, page: {param: page}}",
	"a page size without a number ~~ {cursor: {next: meta.next_cursor, param: cursor}} ~~ {page: {param: page, size_param: per_page}}",
	"a start that is no time ~~ start: 2024-01-01T00:00:00Z ~~ start: last week",
	"a format that is unknown ~~ lookback: 10m ~~ lookback: 10m, format: iso8601",
	// Expressions.
	"one equals sign ~~ status != \"draft\" ~~ status = \"draft\"",
	"SQL's signs ~~ status != \"draft\" ~~ status <> \"draft\"",
	"a text without its end ~~ status != \"draft\" ~~ 'status != \"draft'",
	"a function of another name ~~ lower(customer.email) ~~ lowercase(customer.email)",
	"a function without its argument ~~ lower(customer.email) ~~ lower()",
	"a method ~~ lower(customer.email) ~~ customer.email.lower()",
	"a number in a text's place ~~ lower(customer.email) ~~ lower(5)",
	"adding a text and a number ~~ amount_cents / 100 ~~ amount_cents + \"EUR\" * 2",
	"a filter that is no condition ~~ status != \"draft\" ~~ lower(status)",
	"an expression that stops ~~ amount_cents / 100 ~~ amount_cents /",
	"a name after a map that is gone ~~     sink: ~~       - filter: status == \"paid\"\n    sink:",
	"curly quotes ~~ status != \"draft\" ~~ status != “draft”",
	"a step of another name ~~       - filter: ~~       - where:",
	"two steps in one ~~       - map:\n ~~       - filter: paid\n        map:\n",
	// The table.
	"a type of another database ~~ varchar(255) ~~ string",
	"a type without its length ~~ varchar(255) ~~ varchar",
	"a decimal without its digits ~~ decimal(12,2) ~~ decimal",
	"no key column ~~ bigint key ~~ bigint",
	"primary key as in SQL ~~ bigint key ~~ bigint primary key",
	"a text as a key ~~ order_id: bigint key ~~ order_id: text key",
	"a column that no step makes ~~ total: \"decimal ~~ sum: \"decimal",
	"a column that the table lacks ~~ , total: \"decimal(12,2)\" ~~ ",
	"a key from another field ~~ order_id: id ~~ order_id: number",
	"a column of millrace's own ~~ customer: lower ~~ _mr_version: lower",
	"two tables of one name ~~     sink:\n      table: orders ~~     sink:\n      table: millrace_offsets",
	"the type in capitals with a blank ~~ bigint key ~~ BIG INT key",
}

// TestMistakes: each has a message that says what is wrong, where, and how to correct it. They are in
// testdata/mistakes.golden, to be read with a critical eye.
func TestMistakes(t *testing.T) {
	if _, err := file.Parse("shop.yaml", []byte(rightFile), env); err != nil {
		t.Fatalf("the right file is wrong: %v", err)
	}
	var out strings.Builder
	for _, m := range mistakes {
		part := strings.Split(m, " ~~ ")
		if len(part) != 3 || strings.Count(rightFile, part[1]) < 1 {
			t.Errorf("%s: the right file does not have it", m)
			continue
		}
		text := strings.Replace(rightFile, part[1], part[2], 1)
		_, err := file.Parse("shop.yaml", []byte(text), env)
		if err == nil {
			t.Errorf("%s: accepted", part[0])
			continue
		}
		if strings.Contains(err.Error(), "secret:p@ss") || strings.Contains(err.Error(), "secret-shop") {
			t.Errorf("%s: a secret is shown: %v", part[0], err)
		}
		fmt.Fprintf(&out, "## %s\n%v\n\n", part[0], err)
	}
	if len(mistakes) < 60 {
		t.Errorf("%d mistakes", len(mistakes))
	}
	golden(t, "testdata/mistakes.golden", strings.TrimSuffix(out.String(), "\n"))
}
