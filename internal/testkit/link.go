package testkit

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Link is a network link of limited bandwidth, which all connections that it dials share. It may be used concurrently.
type Link struct {
	limiter *rate.Limiter
	down    atomic.Int64
	up      atomic.Int64

	mu    sync.Mutex
	stuck chan struct{} // nil: it is not; closed when it is no more
}

// linkBurst is how many bytes pass at once.
const linkBurst = 16 << 10

// NewLink returns a link that carries so many bytes a second in both directions together.
func NewLink(bytesPerSecond int) *Link {
	return &Link{limiter: rate.NewLimiter(rate.Limit(bytesPerSecond), linkBurst)}
}

// SetRate changes how many bytes a second the link carries.
func (l *Link) SetRate(bytesPerSecond int) { l.limiter.SetLimit(rate.Limit(bytesPerSecond)) }

// Stall lets nothing through until resume is called.
func (l *Link) Stall() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stuck := make(chan struct{})
	l.stuck = stuck
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(stuck)
		l.stuck = nil
	})
}

// Down is how many bytes the link has brought; Up, how many it has taken away.
func (l *Link) Down() int64 { return l.down.Load() }

// Up is the other direction of [Link.Down].
func (l *Link) Up() int64 { return l.up.Load() }

// Dial connects over the link.
func (l *Link) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok { // else the kernel takes megabytes at once
		_ = tcp.SetWriteBuffer(linkBurst)
		_ = tcp.SetReadBuffer(linkBurst)
	}
	return &linked{Conn: c, link: l, reading: newDeadline(), writing: newDeadline()}, nil
}

type linked struct {
	net.Conn

	link             *Link
	reading, writing *deadline
}

// deadline ends waits at a time that may be changed while they wait.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  context.Context //nolint:containedctx // it is the wait's
	end   context.CancelFunc
}

func newDeadline() *deadline {
	d := &deadline{}
	d.over, d.end = context.WithCancel(context.Background())
	return d
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.over.Err() != nil {
		d.over, d.end = context.WithCancel(context.Background())
	}
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), d.end)
	}
}

func (d *deadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (c *linked) wait(d *deadline, n int) error {
	c.link.mu.Lock()
	stuck := c.link.stuck
	c.link.mu.Unlock()
	over := d.context()
	if stuck != nil {
		select {
		case <-stuck:
		case <-over.Done():
		}
	}
	if c.link.limiter.WaitN(over, n) != nil {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// SetDeadline is for both directions.
func (c *linked) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline also ends a wait for the link.
func (c *linked) SetReadDeadline(t time.Time) error {
	c.reading.set(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline also ends a wait for the link.
func (c *linked) SetWriteDeadline(t time.Time) error {
	c.writing.set(t)
	return c.Conn.SetWriteDeadline(t)
}

// Read reads what has come over the link.
func (c *linked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), linkBurst)])
	if n > 0 {
		if err := c.wait(c.reading, n); err != nil {
			return 0, err
		}
		c.link.down.Add(int64(n))
	}
	return n, err
}

// Write sends over the link.
func (c *linked) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+linkBurst)]
		if err := c.wait(c.writing, len(piece)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(piece)
		c.link.up.Add(int64(n))
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// Close ends the connection.
func (c *linked) Close() error {
	c.reading.set(time.Now())
	c.writing.set(time.Now())
	return c.Conn.Close()
}
