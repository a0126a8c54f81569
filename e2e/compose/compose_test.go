//go:build compose

// Package compose_test brings docker-compose.yml up for real and compares the rows in MySQL with what the API says:
// after the start, after one container of each stage was killed, and with more of them.
package compose_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
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

// waitSame waits until the table is what the API says at that moment. The API goes on publishing, so that it is
// looked at until the two meet.
func (p *project) waitSame() {
	p.t.Helper()
	db, err := sql.Open("mysql", "app:millrace@tcp(127.0.0.1:"+p.mysqlPort+")/quakes")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	table := demo.Table{DB: db, Name: "earthquakes"}
	begun := time.Now()
	var last string
	p.wait(3*time.Minute, func(ctx context.Context) error {
		want, err := p.truth(ctx)
		if err != nil {
			return err
		}
		got, err := table.Compare(ctx, want)
		if err != nil {
			return err
		}
		if last = got.String(); !got.Equal() || got.Rows == 0 {
			return fmt.Errorf("the API says %d rows, the table differs: %s", len(want), last)
		}
		return nil
	})
	p.t.Logf("table and API are the same: %s (after %v)", last, time.Since(begun).Round(100*time.Millisecond))
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
