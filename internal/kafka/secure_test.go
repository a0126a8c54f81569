package kafka_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
)

// ping reaches the brokers of k, and returns what was logged.
func ping(t *testing.T, k pipeline.Kafka) (string, error) {
	t.Helper()
	var log bytes.Buffer
	opts, err := kafka.Opts(k, "test", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), nil)
	if err != nil {
		return "", err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = cl.Ping(ctx)
	cl.Close()
	return log.String(), err
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster := testkafka.New(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "app", "hush-hush"))
			k := pipeline.Kafka{
				Brokers: cluster.ListenAddrs(),
				SASL:    &pipeline.SASL{Mechanism: mechanism, Username: "app", Password: "hush-hush"},
			}
			log, err := ping(t, k)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(log, "hush-hush") {
				t.Errorf("the password is in the log:\n%s", log)
			}
			k.SASL.Password = "wrong-word"
			log, err = ping(t, k)
			if err == nil {
				t.Error("a wrong password was taken")
			}
			if strings.Contains(log, "wrong-word") || strings.Contains(err.Error(), "wrong-word") {
				t.Errorf("the password is in the log or the error: %v\n%s", err, log)
			}
		})
	}
}

// Both sides show a certificate of one authority, which is in a file.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pair := certificate(t, dir)
	cluster := testkafka.New(t, bothSides(t, pair))
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	good := pipeline.TLS{CAFile: cert, CertFile: cert, KeyFile: key}
	named := pipeline.TLS{CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "kafka.example.com"}
	for name, c := range map[string]struct {
		tls  *pipeline.TLS
		good bool
	}{
		"trusted":           {&good, true},
		"by its name":       {&named, true},
		"system's trust":    {&pipeline.TLS{CertFile: cert, KeyFile: key}, false},
		"no certificate":    {&pipeline.TLS{CAFile: cert}, false},
		"of another server": {&pipeline.TLS{CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "other.example.com"}, false},
		"plain text":        {nil, false},
	} {
		if _, err := ping(t, pipeline.Kafka{Brokers: cluster.ListenAddrs(), TLS: c.tls}); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificate writes cert.pem and key.pem, of a server and client at 127.0.0.1 that is its own authority.
func certificate(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"kafka.example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, content := range map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// bothSides is TLS of a broker that shows pair, and asks its clients for a certificate that pair's authority signed.
func bothSides(t *testing.T, pair tls.Certificate) kfake.Opt {
	t.Helper()
	authority, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(authority)
	return kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12,
	})
}
