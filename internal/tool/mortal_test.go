//go:build !race

package tool

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mortal is a life that ends at a certain request to the brokers that changes something: all connections break, none can be made, and
// ctx ends. What was sent before stays done, and nothing follows, as after SIGKILL.
type mortal struct {
	at  int64 // the request whose answer it does not live to see, from 1; 0: it ends before the first
	end context.CancelFunc
	n   atomic.Int64

	before func(kmsg.Key) // is called before each request; nil: nothing is

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

// changing are the requests that change something.
var changing = []kmsg.Key{
	kmsg.Produce, kmsg.OffsetCommit, kmsg.LeaveGroup, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.InitProducerID, kmsg.EndTxn,
	kmsg.DeleteGroups,
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.end()
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *mortal) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	m.conns = append(m.conns, c)
	return &vein{Conn: c, of: m}, nil
}

// vein is a connection of a mortal. The client writes a request at a time.
type vein struct {
	net.Conn

	of    *mortal
	fatal atomic.Bool // the next answer is the one that is not seen
}

// Write sends a request, unless the life ends before it.
func (v *vein) Write(b []byte) (int, error) {
	const header = 6 // size, and key
	if len(b) < header {
		return v.Conn.Write(b)
	}
	key := kmsg.Key(binary.BigEndian.Uint16(b[4:]))
	if v.of.before != nil {
		v.of.before(key)
	}
	if slices.Contains(changing, key) {
		if v.of.at == 0 {
			v.of.die()
			return 0, net.ErrClosed
		}
		if v.of.n.Add(1) == v.of.at {
			v.fatal.Store(true)
		}
	}
	return v.Conn.Write(b)
}

// Read reads an answer, unless the life ends with it.
func (v *vein) Read(b []byte) (int, error) {
	n, err := v.Conn.Read(b)
	if n > 0 && v.fatal.Load() {
		v.of.die()
		return 0, net.ErrClosed
	}
	return n, err
}

// take has a command reach the brokers as m.
func (m *mortal) take(t *testing.T, o *operation) {
	t.Helper()
	o.opts = append(o.opts, kgo.Dialer(m.dial))
	o.control.Client = o.opts
	o.client.Close()
	var err error
	if o.client, err = kgo.NewClient(o.opts...); err != nil {
		t.Fatal(err)
	}
}

// killed runs a command that has reached the brokers, in a life that ends at a request. It reports whether it ended before the command,
// whose error is returned else.
func killed(t *testing.T, path string, at int64, command func(*cobra.Command, *operation) error) (bool, error) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), patience)
	t.Cleanup(end)
	o, err := operate(ctx, path, []string{"orders"})
	if err != nil {
		t.Fatal(err)
	}
	m := &mortal{at: at, end: end}
	m.take(t, o)
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetOut(io.Discard)
	ended := make(chan error, 1) // one send, so that it never waits
	go func() {
		ended <- command(cmd, o)
		o.close()
	}()
	select {
	case err = <-ended: // the dead may clean up; nobody hears of it
	case <-ctx.Done():
		if !m.died() {
			err = <-ended
		}
	}
	return m.died(), err
}

// killEach runs a command again and again: each time something changes before, the command is killed one request later, and it is run
// once more, to its end. It returns at how many requests it was killed.
func killEach(t *testing.T, path string, command func(*cobra.Command, *operation) error, before, again, after func(at int64)) int {
	t.Helper()
	kills := 0
	for at := int64(0); ; at += killStride {
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
