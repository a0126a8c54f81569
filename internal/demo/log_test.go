package demo_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"

	"github.com/millrace-io/millrace/internal/demo"
)

func TestLogShowsWhatStagesWarnOf(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "demo.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	l := demo.NewLog(file)
	log := l.Logger()
	kslog.New(log).Log(kgo.LogLevelWarn, "a client's chatter")
	if l.Last(time.Minute) != "" {
		t.Errorf("shows %q", l.Last(time.Minute))
	}
	log.With("stage", "sink").Info("claimed")
	log.With("stage", "sink").WithGroup("g").Warn("waits for MySQL", "err", errors.New("connection\nrefused"))
	log.Error("lost", "stage", "ingest")
	want := []string{"sink: waits for MySQL: connection refused", "ingest: lost"}
	if got := l.Notices(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(l.Notices()) != 0 || l.Last(time.Minute) != want[1] || l.Last(0) != "" {
		t.Error("notices are not given once, or the last is not kept for as long as it is asked for")
	}
	text, err := os.ReadFile(file.Name())
	if err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("the file has not all four lines: %v\n%s", err, text)
	}
}
