//go:build !race

package tool

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
)

// take has a command reach the brokers as m.
func take(t *testing.T, m *testkit.Mortal, o *operation) {
	t.Helper()
	o.opts = append(o.opts, kgo.Dialer(m.Dial))
	o.control.Client = o.opts
	o.client.Close()
	var err error
	if o.client, err = kgo.NewClient(o.opts...); err != nil {
		t.Fatal(err)
	}
}

// killed runs a command that has reached the brokers, in a life that ends at a request. It reports whether it ended
// before the command, whose error is returned else.
func killed(t *testing.T, path string, at int64, command func(*cobra.Command, *operation) error) (bool, error) {
	t.Helper()
	o, err := operate(t.Context(), path, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	m := testkit.NewMortal(at)
	take(t, m, o)
	return m.Live(t.Context(), patience, func(ctx context.Context) error {
		defer o.close()
		cmd := &cobra.Command{}
		cmd.SetContext(ctx)
		cmd.SetOut(io.Discard)
		return command(cmd, o)
	})
}

// killEach runs a command again and again: each time something changes before, the command is killed stride requests
// later, and it is run once more, to its end. It returns at how many requests it was killed.
func killEach(t *testing.T, path string, stride int64, command func(*cobra.Command, *operation) error, before, again, after func(at int64)) int {
	t.Helper()
	kills := 0
	for at := int64(0); ; at += stride {
		before(at)
		dead, err := killed(t, path, at, command)
		switch {
		case dead:
			kills++
			again(at)
		case err != nil:
			t.Fatalf("not killed at request %d: %v", at, err)
		}
		after(at)
		if t.Failed() {
			t.Fatalf("killed at request %d: %v", at, dead)
		}
		if !dead {
			t.Logf("killed at %d of %d requests", kills, at)
			return kills
		}
	}
}

// always watches that a condition holds until stop is called.
func always(t *testing.T, what string, is func() bool) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if !is() {
				t.Errorf("not %s", what)
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}
