package embedded

import (
	"context"
	"net"
	"os"
	"strings"
)

// portFile remembers the broker's port, so that the address a person gave to another Kafka client holds after
// a restart too.
type portFile string

// listen takes the remembered port of 127.0.0.1, or any other if that is not free.
func (f portFile) listen(network, _ string) (net.Listener, error) {
	var config net.ListenConfig
	if port, err := os.ReadFile(string(f)); err == nil {
		l, err := config.Listen(context.Background(), network, net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port))))
		if err == nil {
			return l, nil
		}
	}
	return config.Listen(context.Background(), network, "127.0.0.1:0")
}

// save remembers the port of address.
func (f portFile) save(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	return os.WriteFile(string(f), []byte(port+"\n"), 0o600)
}
