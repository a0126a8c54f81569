package testkit

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mortal is a life that ends at a certain request to the brokers, of those that change something, or of all: all
// connections break, none can be made, and its context ends. What was sent before stays done, and nothing follows, as
// after SIGKILL. Its methods may be called concurrently.
type Mortal struct {
	At     int64          // the request whose answer it does not live to see, from 1; 0: it ends before the first
	All    bool           // requests that change nothing count, too
	Before func(kmsg.Key) // is called before each request; nil: nothing is

	n     atomic.Int64
	over  chan struct{} // closed when it ends
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

// changing are the requests that change something.
var changing = []kmsg.Key{
	kmsg.Produce, kmsg.OffsetCommit, kmsg.LeaveGroup, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.InitProducerID,
	kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.DeleteGroups,
}

func (m *Mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return
	}
	m.dead = true
	for _, c := range m.conns {
		_ = c.Close()
	}
	close(m.over)
}

// NewMortal returns a life that ends at a request.
func NewMortal(at int64) *Mortal { return &Mortal{At: at, over: make(chan struct{})} }

// Live runs a command, whose clients of Kafka have to dial with m. It reports whether the life ended before the
// command, whose error is returned else. What the dead still does in the background reaches nobody.
func (m *Mortal) Live(ctx context.Context, within time.Duration, command func(context.Context) error) (died bool, err error) {
	ctx, end := context.WithTimeout(ctx, within)
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- command(ctx) }()
	defer end()
	select {
	case err = <-ended:
	case <-m.over:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead, err
}

// Dial connects while it lives. It is for clients of Kafka, which write a request at a time.
func (m *Mortal) Dial(ctx context.Context, network, address string) (net.Conn, error) {
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

// vein is a connection of a mortal.
type vein struct {
	net.Conn

	of    *Mortal
	fatal atomic.Bool // the next answer is the one that is not seen
}

// Write sends a request, unless the life ends before it.
func (v *vein) Write(b []byte) (int, error) {
	const header = 6 // size, and key
	if len(b) < header {
		return v.Conn.Write(b)
	}
	key := kmsg.Key(binary.BigEndian.Uint16(b[4:]))
	if v.of.Before != nil {
		v.of.Before(key)
	}
	if v.of.All || slices.Contains(changing, key) {
		if v.of.At == 0 {
			v.of.die()
			return 0, net.ErrClosed
		}
		if v.of.n.Add(1) == v.of.At {
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
