package control_test

import (
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics/control"
)

// counted is a listener that counts the connections.
type counted struct {
	net.Listener

	connections *atomic.Int32
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.connections.Add(1)
	return c, err
}

// TestWhatCannotPassIsNotAskedAgain: a decision whose brokers are not reached because SASL does not fit is given up at
// once, and says so.
func TestWhatCannotPassIsNotAskedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		sasl    *pipeline.SASL
		correct string
	}{
		"SASL is missing":  {correct: "set kafka.sasl"},
		"another password": {sasl: &pipeline.SASL{Mechanism: "PLAIN", Username: "app", Password: "wrong"}, correct: "correct kafka.sasl"},
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			cluster := testkafka.New(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
				l, err := net.Listen(network, address)
				return counted{l, &connections}, err
			}))
			testkafka.Topics(t, cluster, 1, "shop.control")
			// kfake ends the connection instead
			cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
				return resp, nil, true
			})
			opts, err := kafka.Opts(pipeline.Kafka{Brokers: cluster.ListenAddrs(), SASL: test.sasl}, "test", slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			before := connections.Load()
			_, err = control.Change(t.Context(), control.Config{Pipeline: "shop", Who: "test", Client: opts}, "orders", add)
			if fix := kafka.Fix(err, "shop.yaml"); !strings.Contains(fix, test.correct) {
				t.Errorf("%v; to correct: %q, want %q", err, fix, test.correct)
			}
			if n := connections.Load() - before; n > 10 {
				t.Errorf("%d connections were tried", n)
			}
		})
	}
}
