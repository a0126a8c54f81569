//go:build integration

package sink

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
)

func TestRebalanceMidBatchMySQL(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *pipeline.Pipeline{"by INSERT": onMySQL, "by LOAD DATA": onMySQLWithLoads} {
		t.Run(name, func(t *testing.T) { rebalance(t, open(t)) })
	}
}

func TestFillsThatAreTakenOverMySQL(t *testing.T) {
	fillsTakenOver(t, newWorld(t, onMySQLWithLoads(t)))
}

// TestCommitsCutUnderLoad cuts connections during COMMIT, again and again; each time the sink has to find out whether
// it happened.
func TestCommitsCutUnderLoad(t *testing.T) {
	for name, reaches := range map[string]bool{"that happened": true, "that did not happen": false} {
		t.Run(name, func(t *testing.T) {
			p := onMySQLWithLoads(t)
			direct := p.Database
			cut := cutCommits(t, &p.Database, reaches)
			w := newWorld(t, p)
			w.start("one", func(c *Config) { c.MaxRecords = 100 })
			w.pipeline.Database = direct
			db := w.db()
			w.produce(200)
			w.caughtUp(db, 2*time.Minute) // the claims' own COMMITs are over
			for range 20 {
				cut.Store(true) // before there is something to commit
				w.produce(200)
				testkit.Eventually(t, 2*time.Minute, func() error {
					if cut.Load() {
						return errors.New("no COMMIT was cut")
					}
					return nil
				})
			}
			w.caughtUp(db, 2*time.Minute)
			if letters := w.letters(); len(letters) != w.refused {
				t.Errorf("%d letters, want %d", len(letters), w.refused)
			}
		})
	}
}

// TestMySQLRestarts kills the server under load and starts it again.
func TestMySQLRestarts(t *testing.T) {
	server := testservers.NewMySQL(t)
	allowLoads(t, server.DSN(), true)
	w := newWorld(t, &pipeline.Pipeline{Database: pipeline.Database{MySQL: pipeline.Secret(server.DSN())}})
	one := w.start("one", nil)
	w.start("two", nil)
	w.produce(2000)
	w.caughtUp(w.db(), 2*time.Minute)
	for range 2 {
		w.produce(2000)
		server.Kill(t)
		w.produce(2000)
		testkit.Eventually(t, 2*time.Minute, func() error {
			if one.health.Waiting()["sink"] == "" {
				return errors.New("the sink does not say that it waits for MySQL")
			}
			return nil
		})
		server.Start(t)
		w.caughtUp(w.db(), 2*time.Minute)
	}
	one.ready(t)
}
