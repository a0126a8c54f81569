package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
)

// asked is the error of a question to the brokers of k.
func asked(t *testing.T, k pipeline.Kafka) error {
	t.Helper()
	opts, err := kafka.Opts(k, "test", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return cl.Ping(ctx)
}

// strict is a listener that ends a connection on which something else than Kafka is spoken, as a broker does for a
// request that is too large.
type strict struct{ net.Listener }

func (l strict) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &strictConn{Conn: c}, nil
}

type strictConn struct {
	net.Conn

	begun bool
}

func (c *strictConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.begun && n > 0 && b[0] != 0 {
		return 0, io.EOF
	}
	c.begun = true
	return n, err
}

func strictly(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return strict{l}, err
}

// bystander accepts connections, writes to each, and ends it once something was read.
func bystander(t *testing.T, words []byte) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<10))
			_, _ = c.Write(words)
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// TestWhatDoesNotFitIsTold with what to correct, whatever the broker does with a connection that it cannot use.
func TestWhatDoesNotFitIsTold(t *testing.T) {
	dir := t.TempDir()
	pair := certificate(t, dir)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	user := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "hush-hush")}
	oneSided := kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	twoSided := bothSides(t, pair)
	for name, c := range map[string]struct {
		broker  []kfake.Opt
		words   []byte // of a listener that is no broker; nil: it is one
		tls     *pipeline.TLS
		sasl    *pipeline.SASL
		told    string
		correct string
	}{
		"TLS is missing":             {broker: []kfake.Opt{oneSided}, told: "it speaks TLS, and kafka.tls is not set", correct: "set kafka.tls"},
		"TLS is missing, with alert": {words: []byte{21, 3, 3, 0, 2, 2, 80}, told: "it speaks TLS, and kafka.tls is not set", correct: "set kafka.tls"},
		"TLS is too much": {
			broker: []kfake.Opt{kfake.ListenFn(strictly)}, tls: &pipeline.TLS{CAFile: cert},
			told: "it speaks no TLS, and kafka.tls is set", correct: "remove kafka.tls",
		},
		"another protocol": {
			words: []byte("SSH-2.0-OpenSSH_9.6\r\n"), tls: &pipeline.TLS{CAFile: cert},
			told: "it speaks no TLS, and kafka.tls is set", correct: "remove kafka.tls",
		},
		"another authority": {broker: []kfake.Opt{oneSided}, tls: &pipeline.TLS{}, told: "signed by unknown authority", correct: "kafka.tls.ca_file"},
		"another name": {
			broker: []kfake.Opt{oneSided}, tls: &pipeline.TLS{CAFile: cert, ServerName: "other.example.com"},
			told: "not other.example.com", correct: "kafka.tls.server_name",
		},
		"no certificate of ours": {
			broker: []kfake.Opt{twoSided}, tls: &pipeline.TLS{CAFile: cert},
			told: "certificate required", correct: "kafka.tls.cert_file and kafka.tls.key_file",
		},
		"SASL is missing": {broker: user, told: "it asks for SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), and kafka.sasl is not set", correct: "set kafka.sasl"},
		"SASL is missing, over TLS": {
			broker: append(user, twoSided), tls: &pipeline.TLS{CAFile: cert, CertFile: cert, KeyFile: key},
			told: "and kafka.sasl is not set", correct: "set kafka.sasl",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := pipeline.Kafka{TLS: c.tls, SASL: c.sasl}
			if c.words != nil {
				k.Brokers = []string{bystander(t, c.words)}
			} else {
				k.Brokers = testkafka.New(t, c.broker...).ListenAddrs()
			}
			err := asked(t, k)
			if err == nil || !strings.Contains(err.Error(), c.told) {
				t.Errorf("told %v, want %q", err, c.told)
			}
			if fix := kafka.Fix(err, "shop.yaml"); !strings.Contains(fix, c.correct) {
				t.Errorf("to correct: %q, want %q", fix, c.correct)
			}
		})
	}
}

// TestABrokerThatIsStartedIsWaitedFor: what stands before it ends connections too, and that is not taken for a mistake
// in the file.
func TestABrokerThatIsStartedIsWaitedFor(t *testing.T) {
	for name, c := range map[string]*pipeline.TLS{"plain text": nil, "TLS": {}} {
		err := asked(t, pipeline.Kafka{Brokers: []string{bystander(t, nil)}, TLS: c})
		if setup, ok := errors.AsType[*kafka.SetupError](err); err == nil || ok {
			t.Errorf("%s: %v (%+v), want that it is not known", name, err, setup)
		}
	}
}

// TestAnAnswerThatCannotPassHasAFix, and no other has.
func TestAnAnswerThatCannotPassHasAFix(t *testing.T) {
	for answer, correct := range map[error]string{
		kerr.SaslAuthenticationFailed:                "correct kafka.sasl",
		kerr.UnsupportedSaslMechanism:                "kafka.sasl.mechanism",
		kerr.IllegalSaslState:                        "remove kafka.sasl",
		kerr.TopicAuthorizationFailed:                "`millrace doctor shop.yaml`",
		kerr.GroupAuthorizationFailed:                "`millrace doctor shop.yaml`",
		kerr.ClusterAuthorizationFailed:              "`millrace doctor shop.yaml`",
		kerr.TransactionalIDAuthorizationFailed:      "`millrace doctor shop.yaml`",
		kerr.CoordinatorNotAvailable:                 "",
		io.EOF:                                       "",
		context.DeadlineExceeded:                     "",
		&kafka.SetupError{Fix: "set kafka.sasl"}:     "set kafka.sasl",
		&net.OpError{Op: "dial", Err: net.ErrClosed}: "",
	} {
		fix := kafka.Fix(fmt.Errorf("shop.control[0]: claim: %w", answer), "shop.yaml")
		if !strings.Contains(fix, correct) || correct == "" && fix != "" {
			t.Errorf("%v: %q, want %q", answer, fix, correct)
		}
	}
}
