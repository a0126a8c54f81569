package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort returns a port that nothing listens on, below the range from which the kernel takes those of outgoing
// connections. One of that range could be taken by whoever dials a server that is not there yet, even by a connection
// to itself.
func FreePort(t testing.TB) int {
	t.Helper()
	const low, high, attempts = 20000, 32000, 100
	for range attempts {
		port := low + rand.IntN(high-low)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatalf("no free port in [%d, %d)", low, high)
	return 0
}
