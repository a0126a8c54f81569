package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeTimeout bounds how long a broker is asked what its listener speaks.
const probeTimeout = 2 * time.Second

// maxProbe is the largest answer that is taken for one of Kafka to a probe.
const maxProbe = 1 << 16

// correlation is the number of the request of a probe, which the answer bears. It is of no text and no protocol that
// begins with a size.
const correlation = 0x6d72_7072

// speaksPlain reports whether Kafka is spoken at an address in plain text.
func speaksPlain(ctx context.Context, address string) bool {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 0
	_, err := dialer{}.ask(ctx, address, req)
	return err == nil
}

// speaksTLS reports whether TLS is spoken at an address, whatever becomes of it.
func speaksTLS(ctx context.Context, address string) bool {
	c, err := dialer{}.open(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	wanted := &tls.Config{MinVersion: tls.VersionTLS12}
	err = tls.Client(c, named(wanted, address)).HandshakeContext(ctx)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		return false
	}
	return err == nil || refusedHandshake(address, wanted, err) != nil
}

// asksForSASL reports whether a broker wants to know who it talks to, and how that may be told. One that does not
// refuses the question.
func (d dialer) asksForSASL(ctx context.Context, address string) (mechanisms []string, asks bool) {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, "none" // which is refused with what there is
	body, err := d.ask(ctx, address, req)
	if err != nil {
		return nil, false
	}
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse) //nolint:forcetypeassert // it is generated so
	if err := resp.ReadFrom(body); err != nil {
		return nil, false
	}
	return resp.SupportedMechanisms, resp.ErrorCode == kerr.UnsupportedSaslMechanism.Code
}

// ask writes a request on a connection of its own, and returns the body of the answer.
func (d dialer) ask(ctx context.Context, address string, req kmsg.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := d.open(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	written := kmsg.NewRequestFormatter(kmsg.FormatterClientID("millrace-probe")).AppendRequest(nil, req, correlation)
	if _, err := c.Write(written); err != nil {
		return nil, err
	}
	return answer(c)
}

// answer reads an answer without tags in its header.
func answer(c net.Conn) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	size, number := binary.BigEndian.Uint32(head[:4]), binary.BigEndian.Uint32(head[4:])
	if size < 4 || size > maxProbe || number != correlation {
		return nil, fmt.Errorf("this is no answer of Kafka: %x", head)
	}
	body := make([]byte, size-4)
	_, err := io.ReadFull(c, body)
	return body, err
}
