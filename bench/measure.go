package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// process is a measured program under way.
type process struct {
	cmd     *exec.Cmd
	name    string
	output  bytes.Buffer
	done    chan error
	peakKiB atomic.Int64
}

// usage is what a measured program has used from its start to its end.
type usage struct {
	CPU     time.Duration // user and system
	PeakMiB float64       // resident memory
}

// start runs a program with BENCH_ variables in its environment.
func start(env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), name: name, done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	go p.sample()
	return p, nil
}

// sample follows the peak of the resident memory while the program runs: what wait4 says of it counts the
// memory that the child shared with this program before it became another.
func (p *process) sample() {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		_, after, found := bytes.Cut(status, []byte("VmHWM:"))
		if err != nil || !found {
			return // it has ended
		}
		kib, _, _ := strings.Cut(strings.TrimSpace(string(after)), " ")
		if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
			p.peakKiB.Store(n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stop ends a program that runs until it is told to, and returns what it has used.
func (p *process) stop() (usage, error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		return p.used(err)
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		return p.used(errors.New("still there a minute after SIGTERM; killed"))
	}
}

// wait returns what a program that ends by itself has used.
func (p *process) wait() (usage, error) { return p.used(<-p.done) }

func (p *process) used(err error) (usage, error) {
	state := p.cmd.ProcessState
	if state == nil {
		return usage{}, fmt.Errorf("%s: %w", p.name, err)
	}
	u := usage{
		CPU:     state.UserTime() + state.SystemTime(),
		PeakMiB: float64(p.peakKiB.Load()) / 1024,
	}
	if err != nil && state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		return u, fmt.Errorf("%s: %w:\n%s", p.name, err, p.tail())
	}
	return u, nil
}

func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.output.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// watch polls position, which only grows, until it has reached end, and returns the rate in units a second
// from the first poll that saw any progress to the last. So neither the start of a program nor its joining
// of a group counts.
func watch(ctx context.Context, p *process, end int64, position func(context.Context) (int64, error)) (float64, error) {
	var first int64
	var since time.Time
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s at %d of %d: %w:\n%s", p.name, first, end, ctx.Err(), p.tail())
		case err := <-p.done:
			p.done <- err
			return 0, fmt.Errorf("%s ended at %d of %d: %w:\n%s", p.name, first, end, err, p.tail())
		case <-tick.C:
		}
		now, err := position(ctx)
		if kerr.IsRetriable(err) {
			continue // a broker that has just started has no coordinator yet
		}
		if err != nil {
			return 0, err
		}
		if since.IsZero() && now > 0 {
			first, since = now, time.Now()
		}
		if now >= end {
			elapsed := time.Since(since)
			if elapsed < 200*time.Millisecond {
				return 0, fmt.Errorf("%s was done in %v: too short to measure; ask for more -records", p.name, elapsed)
			}
			return float64(now-first) / elapsed.Seconds(), nil
		}
	}
}

// sample is one run of one program.
type sample struct {
	rate  float64 // records or rows a second
	units int     // all that the program handled, for CPU seconds a million
	usage
}

// series is the runs of one program.
type series []sample

func (s series) of(f func(sample) float64) (low, median, high float64) {
	values := make([]float64, len(s))
	for i, x := range s {
		values[i] = f(x)
	}
	slices.Sort(values)
	return values[0], values[len(values)/2], values[len(values)-1]
}

func (s series) rate() float64 {
	_, median, _ := s.of(func(x sample) float64 { return x.rate })
	return median
}

// row prints a line of the table: the rates in thousands a second, CPU seconds a million, MiB.
func (s series) row(name string) {
	low, median, high := s.of(func(x sample) float64 { return x.rate / 1000 })
	_, cpu, _ := s.of(func(x sample) float64 { return x.CPU.Seconds() * 1e6 / float64(x.units) })
	_, _, peak := s.of(func(x sample) float64 { return x.PeakMiB })
	fmt.Printf("%-44s %7.1f %7.1f %7.1f   %7.2f  %7.0f\n", name, low, median, high, cpu, peak)
}

func heading(title string) {
	fmt.Printf("\n%-44s %7s %7s %7s   %7s  %7s\n", title, "min", "median", "max", "CPU s/M", "MiB")
}

// ratio prints the ratio of each pair of runs, and what it should be.
func ratio(name string, ours, limit series, aim float64) {
	pairs := make([]float64, min(len(ours), len(limit)))
	for i := range pairs {
		pairs[i] = 100 * ours[i].rate / limit[i].rate
	}
	slices.Sort(pairs)
	fmt.Printf("  %s: %.0f / %.0f / %.0f %%", name, pairs[0], pairs[len(pairs)/2], pairs[len(pairs)-1])
	if aim > 0 {
		fmt.Printf(" (aim: at least %.0f %%)", aim)
	}
	fmt.Println()
}
