//go:build compose

// Package compose_test brings docker-compose.yml up for real and compares the rows in MySQL with what the API says:
// after the start, after one container of each stage was killed, and with more of them.
package compose_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

var stages = []string{"ingest", "processor", "sink"}

func TestCompose(t *testing.T) {
	p := newProject(t)
	begun := time.Now()
	p.compose("build")
	t.Logf("built after %v", time.Since(begun).Round(time.Second))
	begun = time.Now()
	p.compose("up", "-d")
	p.waitHealthy("kafka", "mysql", "api", "ingest", "processor", "sink")
	t.Logf("all services healthy after %v", time.Since(begun).Round(time.Second))
	p.waitSame()

	for _, stage := range stages {
		p.killOne(stage)
	}
	p.waitHealthy(stages...)
	p.waitSame()

	p.compose("restart", "kafka", "mysql")
	p.t.Log("restarted kafka and mysql")
	p.waitHealthy("kafka", "mysql", "ingest", "processor", "sink")
	p.waitSame()

	p.compose("up", "-d", "--no-recreate", "--scale", "processor=3", "--scale", "sink=2")
	if got := len(p.containers("processor")); got != 3 {
		t.Fatalf("%d containers of processor, want 3", got)
	}
	if got := len(p.containers("sink")); got != 2 {
		t.Fatalf("%d containers of sink, want 2", got)
	}
	p.waitHealthy(stages...)
	p.waitSame()
	for _, stage := range stages {
		p.killOne(stage)
	}
	p.waitHealthy(stages...)
	p.waitSame()
}

// waitSame waits until each row has been seen as the API says since it was called. The API goes on publishing, so that
// the whole table is seldom what it says at one moment.
func (p *project) waitSame() {
	p.t.Helper()
	db, err := sql.Open("mysql", "app:try-it-out@tcp(127.0.0.1:"+p.mysqlPort+")/quakes")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	table := demo.Table{DB: db, Name: "earthquakes"}
	begun, looks := time.Now(), 0
	var differ []string // ids of which no look has shown what the API says
	last := "nothing was compared"
	p.wait(3*time.Minute, func(ctx context.Context) error {
		got, err := p.look(ctx, table)
		if err != nil {
			return fmt.Errorf("%w; before: %s", err, last)
		}
		now := slices.Concat(got.Missing, got.Extra, got.Stale, got.Wrong)
		if looks++; looks == 1 {
			differ = now
		}
		differ = slices.DeleteFunc(differ, func(id string) bool { return !slices.Contains(now, id) })
		last = fmt.Sprintf("after %d looks, %d rows of the first differ still (%.300q): %s", looks, len(differ), differ, got)
		if len(differ) > 0 || got.Rows == 0 {
			return errors.New(last)
		}
		return nil
	})
	p.t.Logf("each row was as the API says: %s (after %v)", last, time.Since(begun).Round(100*time.Millisecond))
}

// look compares the table with what the API says. Rows that are newer were published since.
func (p *project) look(ctx context.Context, table demo.Table) (demo.Difference, error) {
	want, err := p.truth(ctx)
	if err != nil {
		return demo.Difference{}, err
	}
	return table.Compare(ctx, want)
}

// truth asks the API for the rows that the pipeline should make of it.
func (p *project) truth(ctx context.Context) ([]quakeapi.Row, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+p.apiPort+"/truth?rows=true", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Rows []quakeapi.Row }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("decode the API's truth: %w", err)
	}
	return answer.Rows, nil
}
