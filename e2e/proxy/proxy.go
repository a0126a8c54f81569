// Package proxy stands between a stage and its server, and knows enough of their language to say what passes: a test
// holds, cuts or kills at the one moment that matters, instead of hoping to hit it.
//
//	stage ──request──► proxy ──► server
//	      ◄──answer───       ◄──
//
// Kafka's brokers tell their clients where else to connect; the proxy puts its own address there, so that a client
// that begins at a proxy stays with it. That is right for one broker.
package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Passage is a request on its way to the server, or its answer on the way back.
type Passage struct {
	// What is Kafka's name of the request ("EndTxn"), or the text of MySQL's statement.
	What string
	// Answer says that the server has done it, and this is what it says.
	Answer bool

	kafka *kafkaRequest
}

// Commits reports whether the passage is a transaction's commit (or the answer to one): Kafka's, or MySQL's.
func (p Passage) Commits() bool {
	if p.kafka == nil {
		return p.What == "COMMIT"
	}
	m, err := p.Message()
	end, ok := m.(*kmsg.EndTxnRequest)
	return err == nil && ok && end.Commit
}

// Verdict is what becomes of a passage.
type Verdict int

// Verdicts. Cut closes both connections, so that neither side has an answer.
const (
	Pass Verdict = iota
	Cut
)

// Proxy accepts connections until its test ends.
type Proxy struct {
	listener net.Listener
	upstream string
	speak    func(p *Proxy, c *pair)
	judge    atomic.Pointer[func(Passage) Verdict]
	serving  sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]struct{}
	closed bool
}

// pair is a client's connection and ours to the server in its name.
type pair struct {
	client, server net.Conn
}

func (c *pair) cut() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func start(t testing.TB, upstream string, speak func(*Proxy, *pair)) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, upstream: upstream, speak: speak, pairs: map[*pair]struct{}{}}
	p.serving.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where clients connect: host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Judge has judge decide on everything that passes from now on; nil: all of it passes. It is called concurrently, one
// call for each connection and direction, and holds up that one until it returns.
func (p *Proxy) Judge(judge func(Passage) Verdict) {
	if judge == nil {
		p.judge.Store(nil)
		return
	}
	p.judge.Store(&judge)
}

func (p *Proxy) passes(x Passage) bool {
	judge := p.judge.Load()
	return judge == nil || (*judge)(x) == Pass
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", p.upstream, 5*time.Second)
		if err != nil {
			_ = client.Close() // the server is down: so are we
			continue
		}
		c := &pair{client, server}
		if !p.add(c) {
			c.cut()
			return
		}
		p.serving.Go(func() {
			p.speak(p, c)
			c.cut()
			p.mu.Lock()
			delete(p.pairs, c)
			p.mu.Unlock()
		})
	}
}

func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.pairs[c] = struct{}{}
	}
	return !p.closed
}

// CutAll cuts every connection that there is. Clients may connect again.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.cut()
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.CutAll()
	p.serving.Wait()
}

// both runs the two directions of a connection until one ends, then cuts the other short.
func both(c *pair, requests, answers func() error) {
	var done sync.WaitGroup
	for _, pump := range []func() error{requests, answers} {
		done.Go(func() {
			_ = pump()
			c.cut()
		})
	}
	done.Wait()
}

// errCut ends a direction by a verdict.
var errCut = errors.New("cut")

// readFull reads exactly n bytes.
func readFull(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
