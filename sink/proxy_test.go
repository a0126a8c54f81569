//go:build integration

package sink

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/pipeline"
)

// cutCommits puts a proxy before the database. Once the switch is set, the next COMMIT ends its connection
// unanswered: after the server has answered the proxy, if reaches, else before the server has heard of it.
func cutCommits(t *testing.T, db *pipeline.Database, reaches bool) *atomic.Bool {
	t.Helper()
	cfg, err := mysql.ParseDSN(db.MySQL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	server := cfg.Addr
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = l.Addr().String()
	db.MySQL = pipeline.Secret(cfg.FormatDSN())
	cut := new(atomic.Bool)
	var group sync.WaitGroup
	t.Cleanup(group.Wait)
	t.Cleanup(func() { _ = l.Close() })
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { forward(t, client, server, cut, reaches) })
		}
	})
	return cut
}

func forward(t *testing.T, client net.Conn, addr string, cut *atomic.Bool, reaches bool) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = server.Close() }()
	var deaf atomic.Bool // the client hears no more
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		defer func() { _ = client.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil || deaf.Load() {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			_ = server.Close()
			return
		}
		if bytes.HasSuffix(buffer[:n], []byte("\x03COMMIT")) && cut.CompareAndSwap(true, false) {
			deaf.Store(true)
			if !reaches {
				_ = server.Close()
				return
			}
		}
		if _, err := io.Copy(server, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}
