//go:build integration

package columns_test

import (
	"database/sql"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

func TestColumnTypesMySQL(t *testing.T) {
	dsn := testservers.MySQL(t)
	suite(t, t.TempDir(), `{mysql: "`+dsn+`"}`, "CHAR", func() (*sql.DB, error) { return sql.Open("mysql", dsn) })
}
