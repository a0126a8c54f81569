package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/millrace-io/millrace/pipeline"
)

// Transports are the connections of a process: one pool for all streams that reach their API alike. They may be used
// concurrently.
type Transports struct {
	Idle int                                       // connections that are kept at most, of all hosts
	Wrap func(http.RoundTripper) http.RoundTripper // what requests go through in their place; nil: nothing

	mu      sync.Mutex
	m       map[pipeline.TLS]*http.Transport
	wrapped map[pipeline.TLS]http.RoundTripper
}

// For returns the transport of a stream. Its error names the file that cannot be read.
func (t *Transports) For(h pipeline.HTTP) (http.RoundTripper, error) {
	key := pipeline.TLS{}
	if h.TLS != nil {
		key = *h.TLS
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.wrapped[key]; found != nil {
		return found, nil
	}
	tr := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one, says net/http
	tr.DialContext = dialer().DialContext
	tr.MaxIdleConns, tr.MaxIdleConnsPerHost = t.Idle, t.Idle
	if h.TLS != nil {
		var err error
		if tr.TLSClientConfig, err = tlsConfig(key); err != nil {
			return nil, err
		}
	}
	if t.m == nil {
		t.m, t.wrapped = map[pipeline.TLS]*http.Transport{}, map[pipeline.TLS]http.RoundTripper{}
	}
	t.m[key], t.wrapped[key] = tr, tr
	if t.Wrap != nil {
		t.wrapped[key] = t.Wrap(tr)
	}
	return t.wrapped[key], nil
}

// Close gives back the connections that are idle.
func (t *Transports) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.m {
		tr.CloseIdleConnections()
	}
}

func tlsConfig(t pipeline.TLS) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("http.tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("http.tls.ca_file: " + t.CAFile + " has no certificate in PEM form")
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("http.tls.cert_file and key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
