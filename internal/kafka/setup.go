package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// SetupError says that a broker's listener and what the pipeline file says of it do not fit. Waiting changes nothing.
// It wraps no error, so that a client takes it for what it is, and neither retries nor asks the next broker.
type SetupError struct {
	Broker string // host:port
	What   string // what does not fit
	Fix    string // what to correct
}

func (e *SetupError) Error() string { return fmt.Sprintf("broker %s: %s; %s", e.Broker, e.What, e.Fix) }

// plainListener says that a broker of which TLS is wanted speaks plain text.
func plainListener(address string) *SetupError {
	return &SetupError{address, "it speaks no TLS, and kafka.tls is set", "remove kafka.tls, or name the TLS listener in kafka.brokers"}
}

// tlsListener says that a broker speaks TLS of which plain text is wanted.
func tlsListener(address string) *SetupError {
	return &SetupError{address, "it speaks TLS, and kafka.tls is not set", "set kafka.tls, or name the plain-text listener in kafka.brokers"}
}

// saslListener says that a broker wants to know who it talks to.
func saslListener(address string, mechanisms []string) *SetupError {
	what := "it asks for SASL, and kafka.sasl is not set"
	if len(mechanisms) > 0 {
		what = fmt.Sprintf("it asks for SASL (%s), and kafka.sasl is not set", strings.Join(mechanisms, ", "))
	}
	return &SetupError{address, what, "set kafka.sasl, or name a listener without SASL in kafka.brokers"}
}

// correctLogin is what to correct if a broker does not let us in.
const correctLogin = "correct kafka.sasl: the user, its password or the mechanism"

// refusedHandshake says why TLS with a broker cannot be begun, or was ended by it; nil: that is not known.
func refusedHandshake(address string, c *tls.Config, err error) *SetupError {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return plainListener(address)
	}
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &SetupError{address, fmt.Sprintf("its certificate is not accepted: %v", refused.Err), trust(refused.Err)}
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" && !strings.Contains(alert.Err.Error(), "internal error") {
		return &SetupError{address, fmt.Sprintf("it ended the TLS connection: %v", alert.Err), shown(alert.Err.Error(), c)}
	}
	return nil
}

// shown is what to correct if a broker ends a TLS connection with an alert.
func shown(alert string, c *tls.Config) string {
	switch {
	case !strings.Contains(alert, "certificate"):
		return "the broker's log says more: it may have no certificate, or none for these versions of TLS, or want one of ours in kafka.tls.cert_file"
	case len(c.Certificates) == 0:
		return "name a certificate that it accepts in kafka.tls.cert_file and kafka.tls.key_file"
	}
	return "correct kafka.tls.cert_file and kafka.tls.key_file: it does not accept the certificate that we show"
}

// trust is what to correct if a broker's certificate is not accepted.
func trust(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name the authority that signed it in kafka.tls.ca_file"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "set kafka.tls.server_name to a name in the certificate, or use such a name in kafka.brokers"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the broker needs a new one, or this host's clock is wrong"
	}
	return "the broker needs another one"
}

// Fix is what to correct if err cannot pass by waiting, for it is about TLS, SASL or rights; empty: it is about
// something else. file is the path of the pipeline file.
func Fix(err error, file string) string {
	if setup, ok := errors.AsType[*SetupError](err); ok {
		return setup.Fix
	}
	answer, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return ""
	}
	switch answer {
	case kerr.SaslAuthenticationFailed:
		return correctLogin
	case kerr.UnsupportedSaslMechanism:
		return "set kafka.sasl.mechanism to one that the brokers offer"
	case kerr.IllegalSaslState:
		return "the listener takes no SASL: remove kafka.sasl, or name the SASL listener in kafka.brokers"
	case kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed:
		return fmt.Sprintf("`millrace doctor %s` prints what to allow the user", file)
	}
	return ""
}
