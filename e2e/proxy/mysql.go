package proxy

import (
	"bufio"
	"sync/atomic"
	"testing"
)

// MySQL returns a proxy in front of the server at upstream. It sees the statements that are sent as text; connections
// must not be encrypted.
func MySQL(t testing.TB, upstream string) *Proxy {
	t.Helper()
	return start(t, upstream, speakMySQL)
}

// comQuery is the first byte of a packet that holds a statement (MySQL Internals, "COM_QUERY").
const comQuery = 3

func speakMySQL(p *Proxy, c *pair) {
	var statement atomic.Pointer[Passage] // that waits for its answer
	both(c, func() error {
		in := bufio.NewReader(c.client)
		for {
			packet, err := readPacket(in)
			if err != nil {
				return err
			}
			// Sequence numbers begin again with each command; what belongs to the handshake has others.
			if packet[3] == 0 && len(packet) > 5 && packet[4] == comQuery {
				x := Passage{What: string(packet[5:])}
				if !p.passes(x) {
					return errCut
				}
				statement.Store(&x)
			}
			if _, err := c.server.Write(packet); err != nil {
				return err
			}
		}
	}, func() error {
		in := bufio.NewReader(c.server)
		for {
			packet, err := readPacket(in)
			if err != nil {
				return err
			}
			if x := statement.Swap(nil); x != nil {
				x.Answer = true
				if !p.passes(*x) {
					return errCut
				}
			}
			if _, err := c.client.Write(packet); err != nil {
				return err
			}
		}
	})
}

// readPacket reads a packet with its header: three bytes of length, little endian, and a sequence number.
func readPacket(in *bufio.Reader) ([]byte, error) {
	head, err := readFull(in, 4)
	if err != nil {
		return nil, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	body, err := readFull(in, n)
	return append(head, body...), err
}
