//go:build integration

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics/control"
)

// swapper runs the commands that swap the lines of a stream, through a proxy in front of MySQL, at which it can be killed.
type swapper struct {
	w      *world
	stream string
	file   string // with the logic of the second line
	mysql  *proxy.Proxy
	done   int // commands that swapped
}

func (w *world) swapper(file, stream string) *swapper {
	w.t.Helper()
	dsn, err := mysql.ParseDSN(w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	d := &swapper{w: w, stream: stream, file: filepath.Join(w.t.TempDir(), stream+".yaml"), mysql: proxy.MySQL(w.t, dsn.Addr)}
	dsn.Addr = d.mysql.Addr()
	if err := os.WriteFile(d.file, []byte(strings.Replace(file, w.dsn, dsn.FormatDSN(), 1)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// verb is what changes which line is live.
func (d *swapper) verb(ctx context.Context) (verb string, live uint16, err error) {
	s, err := d.w.decided(ctx, d.stream)
	if err != nil {
		return "", 0, err
	}
	if s.LiveNumber() == control.BaseLine {
		return "swap", control.BaseLine, nil
	}
	return "rollback", s.LiveNumber(), nil
}

// args are those of a command.
func (d *swapper) args(verb string) []string {
	return []string{"replay", verb, d.file, d.stream, "--yes", "--wait", "3m"}
}

// swap swaps the lines, or takes the swap back.
func (d *swapper) swap(ctx context.Context) error {
	verb, live, err := d.verb(ctx)
	if err != nil {
		return err
	}
	if out, err := d.w.millrace(ctx, d.args(verb)...); err != nil {
		return fmt.Errorf("%s of %s: %w\n%s", verb, d.stream, err, out)
	}
	if _, now, err := d.verb(ctx); err != nil || now == live {
		return fmt.Errorf("%s of %s: line %d is live as before (%w)", verb, d.stream, now, err)
	}
	d.done++
	return nil
}

// settled swaps until the second line is live: servers that have been away, and processes that have been killed, may have a swap taken back.
func (d *swapper) settled(ctx context.Context) error {
	return testkit.Until(ctx, 3*time.Minute, func() error {
		if _, live, err := d.verb(ctx); err != nil || live != control.BaseLine {
			return err
		}
		return d.swap(ctx)
	})
}

// moment is a statement of a swap, by its text without values and which of those in one swap it is.
type moment struct {
	statement string
	nth       int
}

// writes are the statements that change something, or begin or end a transaction.
var writes = regexp.MustCompile(`^(START TRANSACTION|BEGIN|INSERT|UPDATE|DELETE|RENAME|COMMIT)`)

// values are those of a statement, and the numbers in the names of tables: they differ from swap to swap.
var values = regexp.MustCompile(`'[^']*'|x'[^']*'|__g[0-9]+|[0-9]+`)

// count tells which moment a passage is; ok is false if none that counts. It is for one connection at a time.
func count() func(x proxy.Passage) (is moment, ok bool) {
	var mu sync.Mutex
	seen := map[string]int{}
	return func(x proxy.Passage) (moment, bool) {
		if !writes.MatchString(x.What) {
			return moment{}, false
		}
		text := values.ReplaceAllString(strings.ReplaceAll(x.What, "_binary", ""), "?")
		mu.Lock()
		defer mu.Unlock()
		if !x.Answer {
			seen[text]++
		}
		return moment{text, seen[text]}, true
	}
}

// rehearse swaps once, and returns the moments of the swap.
func (d *swapper) rehearse(ctx context.Context) (out []moment, err error) {
	of := count()
	var mu sync.Mutex
	d.mysql.Judge(func(x proxy.Passage) proxy.Verdict {
		if is, ok := of(x); ok && !x.Answer {
			mu.Lock()
			defer mu.Unlock()
			out = append(out, is)
		}
		return proxy.Pass
	})
	defer d.mysql.Judge(nil)
	return out, d.swap(ctx)
}

// fate is what becomes of the statement at which the driver is killed.
type fate int

const (
	lost     fate = iota // the server does not get it
	late                 // it gets it when the driver has been dead for a while
	answered             // it has done it, and the driver does not hear of it
	fates
)

func (f fate) String() string { return [...]string{"lost", "late", "answered"}[f] }

// killAt runs a command, and kills it at a moment. killed is false if the moment did not come.
func (d *swapper) killAt(ctx context.Context, at moment, f fate, delay time.Duration) (killed bool, err error) {
	verb, _, err := d.verb(ctx)
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(d.w.binaries, "millrace"), d.args(verb)...)
	var out testkit.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	of := count()
	var once sync.Once
	started, ended := make(chan struct{}), make(chan struct{})
	d.mysql.Judge(func(x proxy.Passage) (v proxy.Verdict) {
		if is, ok := of(x); !ok || is != at || x.Answer != (f == answered) {
			return proxy.Pass
		}
		once.Do(func() {
			<-started
			_ = cmd.Process.Kill()
			<-ended
			if v = proxy.Cut; f == late {
				testkit.Pause(ctx, delay)
				v = proxy.Pass
			}
		})
		return v
	})
	defer d.mysql.Judge(nil)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	close(started)
	err = cmd.Wait()
	close(ended)
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled():
		return true, nil
	case err == nil:
		d.done++
	case cmd.ProcessState.ExitCode() != 1: // refused, or taken back
		return false, fmt.Errorf("%s of %s: %w\n%s", verb, d.stream, err, out.String())
	}
	d.w.t.Logf("%s of %s, before its moment: %s", verb, d.stream, strings.TrimSpace(out.String()))
	return false, nil
}

// ended waits until sinks have ended what a driver has left.
func (d *swapper) ended(ctx context.Context) error {
	return testkit.Until(ctx, 2*time.Minute, func() error {
		var left int
		err := d.w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM millrace_swaps WHERE stream = ?", d.stream).Scan(&left)
		if err == nil && left > 0 {
			err = errors.New("what a driver has left is not ended")
		}
		return err
	})
}

// atRandom swaps again and again until ctx ends, and kills every other command at any moment.
func (d *swapper) atRandom(ctx context.Context, dice *rand.Rand) (kills int, err error) {
	for n := 0; ctx.Err() == nil; n++ {
		verb, _, err := d.verb(ctx)
		if err != nil {
			testkit.Pause(ctx, time.Second)
			continue
		}
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		if n%2 == 0 {
			time.AfterFunc(time.Duration(dice.IntN(4000))*time.Millisecond, end)
		}
		out, err := d.w.millrace(life, d.args(verb)...)
		end()
		exit, ended := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
			d.done++
		case ended && !exit.Exited():
			kills++
		case !ended || exit.ExitCode() != 1:
			return kills, fmt.Errorf("%s of %s: %w\n%s", verb, d.stream, err, out)
		default:
			d.w.t.Logf("%s of %s: %s", verb, d.stream, strings.TrimSpace(out))
		}
		testkit.Pause(ctx, time.Duration(dice.IntN(2000))*time.Millisecond)
	}
	return kills, nil
}

// shadow builds the second line of a stream. So many times it is killed, and run again.
func (d *swapper) shadow(ctx context.Context, dice *rand.Rand, kills int) error {
	for n := 0; ; n++ {
		life, end := context.WithCancel(ctx)
		if n < kills {
			time.AfterFunc(time.Duration(500+dice.IntN(4000))*time.Millisecond, end)
		}
		out, err := d.w.millrace(life, "replay", d.file, d.stream, "--shadow", "--yes")
		end()
		if err == nil {
			return nil
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() || ctx.Err() != nil { // it was not killed
			return fmt.Errorf("shadow of %s: %w\n%s", d.stream, err, out)
		}
		testkit.Pause(ctx, time.Second)
	}
}

// atLeast fails the test if a swapper has swapped too seldom.
func (d *swapper) atLeast(t testing.TB, n int) {
	t.Helper()
	if d.done < n {
		t.Errorf("%s: %d swaps, want at least %d", d.stream, d.done, n)
	}
}
