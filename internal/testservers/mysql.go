package testservers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/testcontainers/testcontainers-go"
)

const (
	mysqlImage    = "mysql:9.7"
	mysqlPort     = "3306/tcp"
	mysqlPassword = "millrace"

	// EnvMySQL names a running server to use instead of the shared container: a DSN of a user who may create schemas.
	EnvMySQL = "MILLRACE_TEST_MYSQL"
)

// MySQL returns the DSN of a fresh schema of this test on the server that the tests of this process share.
// The schema is dropped when the test ends.
func MySQL(t testing.TB) string {
	t.Helper()
	server := os.Getenv(EnvMySQL)
	if server == "" {
		needDocker(t)
		s, err := sharedMySQL()
		if err != nil {
			t.Fatal(err)
		}
		server = mysqlDSN(s.addr)
	}
	dsn, drop := createSchema(t, server)
	t.Cleanup(drop)
	return dsn
}

var sharedMySQL = sync.OnceValues(func() (*container, error) { return share(onDisk) })

// MySQLServer is a server of a test's own.
type MySQLServer struct {
	*container
	dsn string
}

// NewMySQL starts a server for this test, with its data on disk. It is removed when the test ends.
func NewMySQL(t testing.TB) *MySQLServer {
	t.Helper()
	s := own(t, onDisk)
	dsn, _ := createSchema(t, mysqlDSN(s.addr))
	return &MySQLServer{container: s, dsn: dsn}
}

// NewSmallMySQL starts a server for this test whose disk has so many MiB, at least 300, and is in memory: the data ends
// with the process. It has no binary log, which would wait for room. It is removed when the test ends.
func NewSmallMySQL(t testing.TB, mib int) *MySQLServer {
	t.Helper()
	s := own(t, func(ctx context.Context) (*container, error) {
		return startMySQL(ctx, testcontainers.WithTmpfs(map[string]string{"/var/lib/mysql": fmt.Sprintf("size=%dm", mib)}),
			testcontainers.WithCmd("--disable-log-bin", "--innodb-redo-log-capacity=32M"))
	})
	dsn, _ := createSchema(t, mysqlDSN(s.addr))
	return &MySQLServer{container: s, dsn: dsn}
}

// NewMySQLWith starts a server for this test with options of mysqld, with its data on disk. It is removed when the test
// ends.
func NewMySQLWith(t testing.TB, options ...string) *MySQLServer {
	t.Helper()
	s := own(t, func(ctx context.Context) (*container, error) {
		return startMySQL(ctx, testcontainers.WithCmd(options...))
	})
	dsn, _ := createSchema(t, mysqlDSN(s.addr))
	return &MySQLServer{container: s, dsn: dsn}
}

// DSN returns the address of an empty schema, which stays the same when the server is started again.
func (s *MySQLServer) DSN() string { return s.dsn }

func mysqlDSN(addr string) string { return "root:" + mysqlPassword + "@tcp(" + addr + ")/" }

func onDisk(ctx context.Context) (*container, error) { return startMySQL(ctx) }

func startMySQL(ctx context.Context, options ...testcontainers.ContainerCustomizer) (*container, error) {
	return run(ctx, "MySQL", mysqlImage, mysqlPort, mysqlReady, func(string) []testcontainers.ContainerCustomizer {
		return append(options, testcontainers.WithEnv(map[string]string{"MYSQL_ROOT_PASSWORD": mysqlPassword}))
	})
}

// mysqlReady opens a session over TCP, which the server that only initialises the data directory does not offer.
func mysqlReady(ctx context.Context, addr string) error {
	cfg, err := mysql.ParseDSN(mysqlDSN(addr))
	if err != nil {
		return err
	}
	cfg.Logger = &mysql.NopLogger{} // attempts before the server is up are no news
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// createSchema makes a schema on a server and returns its DSN and a function that drops it.
func createSchema(t testing.TB, server string) (dsn string, drop func()) {
	t.Helper()
	cfg, err := mysql.ParseDSN(server)
	if err != nil {
		t.Fatalf("parse the DSN of the test server: %v", err)
	}
	exec := func(ctx context.Context, statement string) error {
		db, err := sql.Open("mysql", server)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(ctx, statement)
		return err
	}
	cfg.DBName = Unique(t)
	if err := exec(t.Context(), fmt.Sprintf("CREATE DATABASE `%s`", cfg.DBName)); err != nil {
		t.Fatalf("create schema %s: %v", cfg.DBName, err)
	}
	return cfg.FormatDSN(), func() {
		if err := exec(context.Background(), fmt.Sprintf("DROP DATABASE `%s`", cfg.DBName)); err != nil {
			t.Errorf("drop schema %s: %v", cfg.DBName, err)
		}
	}
}
