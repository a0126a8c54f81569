//go:build integration

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
)

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
func (d *swapper) count() func(x proxy.Passage) (is moment, ok bool) {
	var mu sync.Mutex
	seen := map[string]int{}
	return func(x proxy.Passage) (moment, bool) {
		if !writes.MatchString(x.What) {
			return moment{}, false
		}
		text := values.ReplaceAllString(strings.NewReplacer("_binary", "", d.stream, "?").Replace(x.What), "?")
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
	defer d.mysql.Judge(nil)
	err = testkit.Until(ctx, 2*time.Minute, func() error { // a slow machine may have it taken back
		of := d.count()
		var mu sync.Mutex
		var all []moment
		d.mysql.Judge(func(x proxy.Passage) proxy.Verdict {
			if is, ok := of(x); ok && !x.Answer {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, is)
			}
			return proxy.Pass
		})
		if err := d.swap(ctx); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		out = all
		return nil
	})
	return out, err
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
	of := d.count()
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
	case err != nil && cmd.ProcessState.ExitCode() != 1: // it was not refused, nor taken back
		return false, fmt.Errorf("%s of %s: %w\n%s", verb, d.stream, err, out.String())
	}
	d.w.t.Logf("%s of %s, before its moment: %s", verb, d.stream, strings.TrimSpace(out.String()))
	return false, nil
}
