// Package kafka is how a process reaches the brokers that a pipeline names.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-io/millrace/pipeline"
)

// Opts are the options of every client of a process: where the brokers are, TLS, SASL, the client id, its log and
// its metrics (nil: none). The options may be given to any number of clients; several calls with one registry share the
// counters.
func Opts(k pipeline.Kafka, clientID string, log *slog.Logger, reg prometheus.Registerer) ([]kgo.Opt, error) {
	if len(k.Brokers) == 0 {
		return nil, errors.New("kafka.brokers: no broker given")
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(k.Brokers...),
		kgo.ClientID(clientID),
		kgo.WithLogger(newLogger(log)),
		kgo.RetryBackoffFn(backoff),
		kgo.MetadataMinAge(metadataMinAge),
	}
	if reg != nil {
		m, err := newMetrics(reg)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.WithHooks(m))
	}
	var d dialer
	if k.TLS != nil {
		c, err := tlsConfig(k.TLS)
		if err != nil {
			return nil, err
		}
		d.tls = c
	}
	if k.SASL != nil {
		m, err := mechanism(k.SASL)
		if err != nil {
			return nil, err
		}
		d.sasl = true
		opts = append(opts, kgo.SASL(m))
	}
	return append(opts, kgo.Dialer(d.dial)), nil
}

// metadataMinAge bounds how long a batch waits that was refused for the moment: franz-go sends it again only after the
// next look at the metadata, which by default is up to 5 s away. Brokers refuse the first batch after the end of a
// transaction (CONCURRENT_TRANSACTIONS) while they still write the markers of that end (KIP-890).
const metadataMinAge = 250 * time.Millisecond

// backoff keeps a broker that comes back from being found late: franz-go's own grows to 2.5 s as well, but with
// a minimum of 250 ms it delays the first retry after each move of a leader.
func backoff(failures int) time.Duration {
	return min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
}

func tlsConfig(t *pipeline.TLS) (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca_file: no certificate in %s; it must be PEM", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls: cert_file and key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func mechanism(s *pipeline.SASL) (sasl.Mechanism, error) {
	user, password := s.Username, s.Password.Reveal()
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("kafka.sasl.mechanism: %q; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	}
}
