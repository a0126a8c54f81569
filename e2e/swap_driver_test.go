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
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics/control"
)

// swapper runs the commands that swap the lines of a stream, through a proxy in front of MySQL, at which it can be
// killed.
type swapper struct {
	w      *world
	stream string
	file   string // with the logic of the second line
	mysql  *proxy.Proxy
	live   uint16 // line that was live when it looked last; 0: it never looked
	turns  int    // how often it was another one then
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

// verb is what changes which line is live, by the table of which the database says whose it is. It waits for a server
// that is away.
func (d *swapper) verb(ctx context.Context) (verb string, live uint16, err error) {
	var owner string
	if err := testkit.Until(ctx, 2*time.Minute, func() error {
		return d.w.db.QueryRowContext(ctx, "SELECT pipeline FROM millrace_owners WHERE table_name = ?", d.stream).Scan(&owner)
	}); err != nil {
		return "", 0, err
	}
	if verb, live = "swap", control.BaseLine; owner != d.w.pipeline {
		verb, live = "rollback", control.BaseLine+1
	}
	if live != d.live && d.live != 0 {
		d.turns++
	}
	d.live = live
	return verb, live, nil
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
	_, now, err := d.verb(ctx)
	if err == nil && now == live {
		err = fmt.Errorf("%s of %s: line %d is live as before", verb, d.stream, now)
	}
	return err
}

// settled swaps until the second line is live, and that is told: servers that have been away, and processes that have
// been killed, may have a swap taken back, and another process may have ended one that was begun before.
func (d *swapper) settled(ctx context.Context) error {
	if err := d.ended(ctx); err != nil {
		return err
	}
	return testkit.Until(ctx, 4*time.Minute, func() error {
		_, live, err := d.verb(ctx)
		if err == nil && live == control.BaseLine {
			err = d.swap(ctx)
		}
		if err != nil {
			return err
		}
		s, err := d.w.decided(ctx, d.stream)
		if err == nil && s.LiveNumber() == control.BaseLine {
			err = errors.New("it is not told yet that the second line is live")
		}
		return err
	})
}

// goOn has the next command end what one that was killed has left, before it swaps, or refuses to. It may have been
// taken back, too.
func (d *swapper) goOn(ctx context.Context) error {
	verb, _, err := d.verb(ctx)
	if err != nil {
		return err
	}
	out, err := d.w.millrace(ctx, d.args(verb)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		d.w.t.Logf("%s of %s, after a kill: %s", verb, d.stream, strings.TrimSpace(out))
		return nil
	}
	return err
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
			time.AfterFunc(time.Duration(100+dice.IntN(4000))*time.Millisecond, end)
		}
		out, err := d.w.millrace(life, d.args(verb)...)
		end()
		exit, ended := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
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
