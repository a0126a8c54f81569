//go:build integration

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
)

// watched is a process that reaches Kafka and MySQL through proxies of its own.
type watched struct {
	*fleet // of one

	world        *world
	name         string
	kafka, mysql *proxy.Proxy
}

// through prepares a process of that name; it is not started.
func (w *world) through(name string) *watched {
	w.t.Helper()
	dsn, err := mysql.ParseDSN(w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &watched{world: w, name: name, kafka: proxy.Kafka(w.t, w.brokers[0]), mysql: proxy.MySQL(w.t, dsn.Addr)}
	dsn.Addr = p.mysql.Addr()
	p.fleet = newFleet(w.t, w.binaries, w.source.file(w.pipeline, []string{p.kafka.Addr()}, dsn.FormatDSN()))
	return p
}

func (p *watched) start() *process { return p.fleet.start(p.name) }

// frozen is what became of a process that was stopped at a moment.
type frozen struct {
	process *process
	stopped chan struct{} // closed when it is
	release chan struct{}
	once    sync.Once
}

// freeze stops the process (SIGSTOP) when, at a proxy, the first passage comes that is the moment, and holds that
// passage until thaw.
func (p *watched) freeze(at *proxy.Proxy, moment func(proxy.Passage) bool) *frozen {
	z := &frozen{process: p.get(p.name), stopped: make(chan struct{}), release: make(chan struct{})}
	var first sync.Once
	at.Judge(func(x proxy.Passage) proxy.Verdict {
		if moment(x) {
			first.Do(func() {
				_ = z.process.cmd.Process.Signal(syscall.SIGSTOP)
				close(z.stopped)
				<-z.release
			})
		}
		return proxy.Pass
	})
	p.world.t.Cleanup(z.thaw)
	return z
}

// thaw lets the process go on (SIGCONT), and what it was about to send pass.
func (z *frozen) thaw() {
	z.once.Do(func() {
		_ = z.process.cmd.Process.Signal(syscall.SIGCONT)
		close(z.release)
	})
}

// await is nil when the moment has come.
func (z *frozen) await(ctx context.Context, within time.Duration) error {
	select {
	case <-z.stopped:
		return nil
	case <-time.After(within):
		return fmt.Errorf("%s: the moment to freeze it did not come within %v\n%s", z.process.name, within, z.process.tail(20))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// taken is what a process logs when it was fenced, or finds that it has lost its claim.
var taken = regexp.MustCompile(`another (sink|process) has taken over|partitions lost: `)

// logsTaken waits until a process has logged that, after what it had logged before.
func (p *process) logsTaken(ctx context.Context, before int) error {
	return testkit.Until(ctx, 2*time.Minute, func() error {
		if taken.MatchString(p.since(before)) {
			return nil
		}
		return fmt.Errorf("%s does not say that another has taken over:\n%s", p.name, p.tail(20))
	})
}

// since is what it has logged after its first bytes.
func (p *process) since(bytes int) string { return p.log.String()[bytes:] }
