package tool

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
	"github.com/millrace-io/millrace/pipeline"
)

// On servers that others use too, the demonstration's names say whose they are.
const (
	demoPipelineName = "millrace-demo"
	demoTableName    = "millrace_demo_earthquakes"
)

// pointDemo gives p the servers of o and the API at url.
func pointDemo(p *pipeline.Pipeline, o demoOptions, url, dataDir string) error {
	p.DataDir = dataDir
	for i := range p.Streams {
		p.Streams[i].Ingest.HTTP.BaseURL = url + "/fdsnws/event/1"
	}
	if len(o.kafka) > 0 {
		p.Kafka.Embedded, p.Kafka.Brokers = false, o.kafka
	}
	if o.mysql != "" {
		if _, err := parseDemoDSN(o.mysql); err != nil {
			return err
		}
		p.Database = pipeline.Database{MySQL: pipeline.Secret(o.mysql)}
	}
	// the table too: it is a part of the logic, which these topics keep from one run to the next
	if len(o.kafka) > 0 || o.mysql != "" {
		p.Name = demoPipelineName
		for i := range p.Streams {
			p.Streams[i].Sink.Table = demoTableName
		}
	}
	return nil
}

func usage(format string, args ...any) error {
	return &cli.UsageError{Err: fmt.Errorf(format, args...)}
}

// parseDemoDSN says what a DSN should look like, without repeating it: it holds a password.
func parseDemoDSN(dsn string) (*mysql.Config, error) {
	const like = "; --mysql takes user:password@tcp(host:3306)/database"
	cfg, err := mysql.ParseDSN(strings.TrimPrefix(dsn, "mysql://"))
	switch {
	case strings.Contains(dsn, "://"):
		return nil, usage("--mysql: this looks like a URL%s", like)
	case err != nil: // its text may quote a piece of the password
		return nil, usage("--mysql: not a DSN%s", like)
	case cfg.DBName == "":
		return nil, usage("--mysql: no database after the slash%s", like)
	}
	return cfg, nil
}

// demoDataDir is where the embedded servers keep their files. An embedded Kafka beside a MySQL that stays must stay
// too: the table remembers which offset comes next. temporary says that the directory is for this run alone.
func demoDataDir(o demoOptions) (dir string, temporary bool, err error) {
	switch {
	case o.dataDir != "":
		dir = o.dataDir
	case o.mysql != "" && len(o.kafka) == 0:
		dir = filepath.Join(".millrace", "demo")
	default:
		dir, err = os.MkdirTemp("", "millrace-demo-")
		return dir, true, err
	}
	return dir, false, os.MkdirAll(dir, 0o750)
}

// startDemoAPI serves the API on a free port until stop is called.
func startDemoAPI(ctx context.Context, o demoOptions) (api *quakeapi.Server, url string, stop func(), err error) {
	cfg := quakeapi.DefaultConfig()
	cfg.Seed, cfg.Follow, cfg.Faults = o.seed, o.follow, !o.noFaults
	api, err = quakeapi.New(cfg)
	if err != nil {
		return nil, "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	return api, "http://" + l.Addr().String(), func() { _ = server.Close(); <-done }, nil
}

// demoDatabase is where the rows go, as it is named to people, and how they look at it.
type demoDatabase struct {
	demo.Table
	kind  string // "SQLite" or "MySQL"
	where string // without secrets
	look  string // command
	file  string // of SQLite
}

const demoQuery = "SELECT id, time, magnitude, place FROM %s ORDER BY magnitude DESC LIMIT 10"

// openDemoDatabase opens the table for reading. It need not be there yet, and nor need the database.
func openDemoDatabase(p *pipeline.Pipeline) (demoDatabase, error) {
	d := demoDatabase{kind: "SQLite", file: filepath.Join(p.DataDir, "millrace.db")}
	d.Name = p.Streams[0].Sink.Table
	query := fmt.Sprintf(demoQuery, d.Name)
	driver, dsn := "sqlite", "file:"+filepath.ToSlash(d.file)+"?mode=rw&_pragma=busy_timeout(5000)"
	d.where = fmt.Sprintf("%s, SQLite file %s", d.Name, d.file)
	d.look = fmt.Sprintf("sqlite3 -box %s '%s'", d.file, query)
	if !p.Database.Embedded {
		cfg, err := parseDemoDSN(p.Database.MySQL.Reveal())
		if err != nil {
			return d, err
		}
		host, port, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			host, port = cfg.Addr, "3306" // a socket's path
		}
		driver, dsn, d.kind, d.file = "mysql", p.Database.MySQL.Reveal(), "MySQL", ""
		d.where = fmt.Sprintf("%s, MySQL %s at %s", d.Name, cfg.DBName, cfg.Addr)
		d.look = fmt.Sprintf("mysql -h %s -P %s -u %s -p %s -e '%s'", host, port, cfg.User, cfg.DBName, query)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return d, fmt.Errorf("open the table for reading: %w", err)
	}
	db.SetMaxOpenConns(2)
	d.DB = db
	return d, nil
}
