package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// dialTimeout bounds how long a connection takes to be open, with its TLS handshake.
const dialTimeout = 5 * time.Second

// dialer opens connections to brokers. A broker whose listener speaks something else than it is spoken to ends the
// connection without a word, just as what stands before one that is being started. So the dialer asks which it is, by a
// connection of its own, and tells what cannot pass by waiting as a [*SetupError].
type dialer struct {
	tls  *tls.Config // nil: plain text
	sasl bool        // the client says who it is
}

// dial is what clients open connections with.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, dialer: d, address: address}, nil
}

// open returns a connection on which requests can be written.
func (d dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil || d.tls == nil {
		return plain, err
	}
	shaking, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(plain, named(d.tls, address))
	if err := secure.HandshakeContext(shaking); err != nil {
		_ = plain.Close()
		return nil, d.unshaken(ctx, address, err)
	}
	return secure, nil
}

// named is a TLS configuration for the host of an address, unless it names one.
func named(c *tls.Config, address string) *tls.Config {
	c = c.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	return c
}

// unshaken is the error of a handshake that failed.
func (d dialer) unshaken(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if refused := refusedHandshake(address, d.tls, err); refused != nil {
		return refused
	}
	if _, reset := errors.AsType[syscall.Errno](err); !reset && !errors.Is(err, io.EOF) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if speaksPlain(ctx, address) {
		return plainListener(address)
	}
	return err
}

// conn is a connection of a client to a broker.
type conn struct {
	net.Conn

	dialer   dialer
	address  string
	requests atomic.Int32 // that were written, up to early
	answered bool         // something was read; it belongs to the reader
}

// early is how many requests are written at most up to the first one that a broker answers only if it knows the client.
// A client asks for the versions, again if it asked for too new a form, then for the ways to log in, logs in with two
// requests at most, and asks for what it wants.
const early = 7

// Write writes a request.
func (c *conn) Write(b []byte) (int, error) {
	if c.requests.Load() < early {
		c.requests.Add(1)
	}
	return c.Conn.Write(b)
}

// Read reads what a broker answers. If the connection ends as soon as it has begun, the error says why, if that is
// known.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	begins := !c.answered
	c.answered = c.answered || n > 0
	switch {
	case err == nil && begins && c.dialer.tls == nil && isAlert(b[:n]):
		return 0, tlsListener(c.address)
	case err == nil || c.requests.Load() >= early:
		return n, err
	}
	if refused := c.ended(err); refused != nil {
		return n, refused
	}
	return n, err
}

// isAlert reports whether an answer begins as an alert of TLS does (RFC 8446, section 5.1). No answer of Kafka is as
// large as that would say.
func isAlert(b []byte) bool { return len(b) >= 3 && b[0] == 21 && b[1] == 3 && b[2] <= 4 }

// ended asks why a connection ended that has just begun; nil: it is not known.
func (c *conn) ended(err error) *SetupError {
	if c.dialer.tls != nil {
		if refused := refusedHandshake(c.address, c.dialer.tls, err); refused != nil {
			return refused
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	if !c.answered && c.dialer.tls == nil && speaksTLS(ctx, c.address) {
		return tlsListener(c.address)
	}
	if c.answered && !c.dialer.sasl {
		if mechanisms, asks := c.dialer.asksForSASL(ctx, c.address); asks {
			return saslListener(c.address, mechanisms)
		}
	}
	return nil
}
