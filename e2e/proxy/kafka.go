package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka returns a proxy in front of the broker at upstream, whose requests it knows by name.
func Kafka(t testing.TB, upstream string) *Proxy {
	t.Helper()
	return start(t, upstream, speakKafka)
}

// kafkaRequest is a request as it was sent, from the header on.
type kafkaRequest struct {
	key, version int16
	correlation  int32
	rest         []byte // client id, tags and body
}

// Message is what Kafka was asked. It is for passages of a [Kafka] proxy.
func (p Passage) Message() (kmsg.Request, error) {
	if p.kafka == nil {
		return nil, errors.New("not a passage of Kafka's")
	}
	m := kmsg.RequestForKey(p.kafka.key)
	if m == nil {
		return nil, fmt.Errorf("request %d is not known", p.kafka.key)
	}
	m.SetVersion(p.kafka.version)
	body := p.kafka.rest
	if len(body) < 2 {
		return nil, errors.New("request without client id")
	}
	if n := int16(binary.BigEndian.Uint16(body)); n > 0 {
		body = body[n:]
	}
	body = body[2:]
	if m.IsFlexible() {
		var err error
		if body, err = skipTags(body); err != nil {
			return nil, err
		}
	}
	return m, m.ReadFrom(body)
}

func skipTags(b []byte) ([]byte, error) {
	r := number{b: b}
	for n := r.next(); n > 0 && r.err == nil; n-- {
		r.next()
		r.skip(r.next())
	}
	return r.b, r.err
}

// number reads unsigned varints.
type number struct {
	b   []byte
	err error
}

func (r *number) next() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err, n = errors.New("malformed varint"), len(r.b)
	}
	r.b = r.b[n:]
	return v
}

func (r *number) skip(n uint64) {
	if n > uint64(len(r.b)) {
		r.err, n = errors.New("tag is longer than its message"), uint64(len(r.b))
	}
	r.b = r.b[n:]
}

// pendingRequests are those of one connection that have no answer yet, by correlation id.
type pendingRequests struct {
	mu sync.Mutex
	m  map[int32]Passage
}

func (w *pendingRequests) put(x Passage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m[x.kafka.correlation] = x
}

func (w *pendingRequests) pop(correlation int32) (Passage, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x, ok := w.m[correlation]
	delete(w.m, correlation)
	return x, ok
}

func speakKafka(p *Proxy, c *pair) {
	asked := &pendingRequests{m: map[int32]Passage{}}
	both(c, func() error {
		in := bufio.NewReader(c.client)
		for {
			frame, err := readFrame(in)
			if err != nil {
				return err
			}
			if len(frame) < 8 {
				return fmt.Errorf("request of %d bytes", len(frame))
			}
			r := &kafkaRequest{
				key: int16(binary.BigEndian.Uint16(frame)), version: int16(binary.BigEndian.Uint16(frame[2:])),
				correlation: int32(binary.BigEndian.Uint32(frame[4:])), rest: frame[8:],
			}
			x := Passage{What: kmsg.NameForKey(r.key), kafka: r}
			if !p.passes(x) {
				return errCut
			}
			asked.put(x)
			if err := writeFrame(c.server, frame); err != nil {
				return err
			}
		}
	}, func() error {
		in := bufio.NewReader(c.server)
		for {
			frame, err := readFrame(in)
			if err != nil {
				return err
			}
			if len(frame) < 4 {
				return fmt.Errorf("answer of %d bytes", len(frame))
			}
			x, ok := asked.pop(int32(binary.BigEndian.Uint32(frame)))
			if ok {
				x.Answer = true
				if !p.passes(x) {
					return errCut
				}
				if frame, err = p.readdress(x.kafka, frame); err != nil {
					return err
				}
			}
			if err := writeFrame(c.client, frame); err != nil {
				return err
			}
		}
	})
}

// readdress puts the proxy's address where an answer names brokers.
func (p *Proxy) readdress(r *kafkaRequest, frame []byte) ([]byte, error) {
	switch kmsg.Key(r.key) {
	case kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster:
	default:
		return frame, nil
	}
	m := kmsg.ResponseForKey(r.key)
	m.SetVersion(r.version)
	head, body := frame[:4:4], frame[4:]
	if m.IsFlexible() {
		rest, err := skipTags(body)
		if err != nil {
			return nil, err
		}
		head, body = frame[:len(frame)-len(rest):len(frame)-len(rest)], rest
	}
	if err := m.ReadFrom(body); err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(p.Addr())
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, err
	}
	port := int32(n)
	switch m := m.(type) {
	case *kmsg.MetadataResponse:
		for i := range m.Brokers {
			m.Brokers[i].Host, m.Brokers[i].Port = host, port
		}
	case *kmsg.FindCoordinatorResponse:
		if m.Port > 0 {
			m.Host, m.Port = host, port
		}
		for i := range m.Coordinators {
			if m.Coordinators[i].Port > 0 {
				m.Coordinators[i].Host, m.Coordinators[i].Port = host, port
			}
		}
	case *kmsg.DescribeClusterResponse:
		for i := range m.Brokers {
			m.Brokers[i].Host, m.Brokers[i].Port = host, port
		}
	}
	return m.AppendTo(head), nil
}

const maxFrame = 256 << 20

func readFrame(in *bufio.Reader) ([]byte, error) {
	size, err := readFull(in, 4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	return readFull(in, int(n))
}

func writeFrame(out net.Conn, frame []byte) error {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(frame)))
	_, err := (&net.Buffers{size, frame}).WriteTo(out)
	return err
}
