package kafka

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRepetitionsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
		for range 100 { // a second apart
			log.Log(kgo.LogLevelWarn, "unable to open connection to broker", "addr", "b:9092")
			log.Log(kgo.LogLevelInfo, "chatter")
			time.Sleep(time.Second) // of the bubble
		}
		log.Log(kgo.LogLevelError, "something else")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 5 || !strings.Contains(lines[1], "repeated=29") || !strings.Contains(lines[4], "something else") {
			t.Errorf("want the warning each 30 s with how often it was held back, and the error:\n%s", out.String())
		}
	})
}

func TestDebugShowsWhatTheClientDoes(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for range 3 {
		log.Log(kgo.LogLevelDebug, "wrote Produce v13")
	}
	if n := strings.Count(out.String(), "wrote Produce v13"); n != 3 {
		t.Errorf("%d lines of 3 that are alike", n)
	}
	if log.Level() != kgo.LogLevelDebug {
		t.Errorf("level %v, log %q", log.Level(), out.String())
	}
	if quiet := newLogger(slog.New(slog.NewTextHandler(&out, nil))); quiet.Level() != kgo.LogLevelWarn {
		t.Errorf("level %v without debug, want warn", quiet.Level())
	}
}

// TestNoGuessForTimeouts: a broker that is silent says nothing of SASL; one that closes the connection may.
func TestNoGuessForTimeouts(t *testing.T) {
	const message = "read from broker errored, killing connection after 0 successful responses (is SASL missing?)"
	for err, guessed := range map[error]bool{os.ErrDeadlineExceeded: false, io.EOF: true} {
		var out bytes.Buffer
		newLogger(slog.New(slog.NewTextHandler(&out, nil))).Log(kgo.LogLevelWarn, message, "addr", "b:9092", "err", err)
		if got := out.String(); strings.Contains(got, "SASL") != guessed || !strings.Contains(got, "0 successful responses") {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestWarningsOfNoUseAreForDebugging: one outage is told by the stage that waits, not by each client in its own words.
func TestWarningsOfNoUseAreForDebugging(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	warn := func(log kgo.Logger) {
		log.Log(kgo.LogLevelWarn, "received an OffsetCommitResponse after our group session has ended, unable to handle this (were we kicked from the group?)")
		log.Log(kgo.LogLevelWarn, "unable to open connection to broker", "addr", "b:9092", "broker", "1", "err", refused)
		log.Log(kgo.LogLevelWarn, "join group failed", "group", "g", "err", fmt.Errorf("dial: %w", refused))
		log.Log(kgo.LogLevelError, "group manage loop errored", "group", "g", "err", kerr.CoordinatorNotAvailable)
		log.Log(kgo.LogLevelWarn, "fetch offsets failed for partition; injecting error and continuing", "err", kerr.UnstableOffsetCommit)
		log.Log(kgo.LogLevelError, "default commit failed", "err", kerr.IllegalGeneration)
		log.Log(kgo.LogLevelWarn, "read from broker received EOF during api versions discovery (is TLS misconfigured?)", "addr", "b:9092", "err", io.EOF)
		log.Log(kgo.LogLevelError, "group session ended", "group", "g", "err", kerr.FencedInstanceID)
		log.Log(kgo.LogLevelWarn, "metadata has a new ID for a topic we already hold", "topic", "t")
		log.Log(kgo.LogLevelError, "fatal InitProducerID error, failing all buffered records", "broker", "0", "err", kerr.InvalidProducerEpoch)
		log.Log(kgo.LogLevelError, "fatal InitProducerID error, failing all buffered records", "broker", "0", "err", kerr.ProducerFenced)
		log.Log(kgo.LogLevelWarn, "unable to request api versions", "broker", 1, "err", io.ErrUnexpectedEOF)
		log.Log(kgo.LogLevelWarn, "read from broker errored, killing connection after 0 successful responses (is SASL missing?)", "err", &SetupError{})
	}
	var out bytes.Buffer
	log := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
	warn(log)
	if out.Len() > 0 {
		t.Errorf("of no use:\n%s", out.String())
	}
	log.Log(kgo.LogLevelWarn, "read from broker errored, killing connection after 0 successful responses (is SASL missing?)", "err", io.EOF)
	log.Log(kgo.LogLevelError, "fatal InitProducerID error, failing all buffered records", "err", kerr.TransactionalIDAuthorizationFailed)
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines of 2 that are of use:\n%s", n, out.String())
	}
	out.Reset()
	warn(newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if n := strings.Count(out.String(), "\n"); n != 13 {
		t.Errorf("%d lines of 13 for debugging:\n%s", n, out.String())
	}
}
