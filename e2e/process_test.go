//go:build integration

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/internal/testkit"
)

// binaries are the three stages, built once as they are and once for each mutant.
var binaries = struct {
	sync.Mutex
	dirs map[string]string // by the mutant's name
}{dirs: map[string]string{}}

// build returns the directory of the binaries: of m, or of millrace as it is if m is nil.
func build(t testing.TB, m *mutants.Mutant) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	name := "whole"
	if m != nil {
		name = m.String()
	}
	if dir := binaries.dirs[name]; dir != "" {
		return dir
	}
	const prefix = "millrace-e2e-" // it outlives the test that is the first to need it, so the next process removes it
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err != nil || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
	dir := filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()), strings.ReplaceAll(name, " ", "-"))
	root, err := mutants.Root()
	if err != nil {
		t.Fatal(err)
	}
	if m == nil {
		m = &mutants.Mutant{}
	}
	if err := m.Build(t.Context(), root, dir, "./cmd/ingest", "./cmd/processor", "./cmd/sink", "./cmd/millrace"); err != nil {
		t.Fatal(err)
	}
	binaries.dirs[name] = dir
	return dir
}

// fleet is the processes of a pipeline.
type fleet struct {
	t         testing.TB
	dir       string // of the binaries
	file      string
	env       func(name string) []string // more of the environment of a process; nil: none
	mu        sync.Mutex
	args      []string            // that stages have beside the file
	processes map[string]*process // by name, such as sink-1
	ended     []*process
}

// process is one run of a stage's binary.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *testkit.Buffer
	done chan struct{}
}

func newFleet(t testing.TB, dir, file string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: dir, processes: map[string]*process{}}
	f.file = filepath.Join(t.TempDir(), "pipeline.yaml")
	if err := os.WriteFile(f.file, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range f.running() {
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
	return f
}

// start starts a process named stage-number. Started again under its name, it has the instance name of its life before.
func (f *fleet) start(name string) *process {
	f.t.Helper()
	stage, _, _ := strings.Cut(name, "-")
	return f.launch(name, stage, append([]string{f.file, "--listen", "127.0.0.1:0", "--instance", name}, f.args...)...)
}

// launch starts a process of that name: a binary with its arguments.
func (f *fleet) launch(name, binary string, args ...string) *process {
	f.t.Helper()
	p := &process{name: name, log: &testkit.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(f.dir, binary), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if f.env != nil {
		p.cmd.Env = append(os.Environ(), f.env(name)...)
	}
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes[name] = p
	return p
}

func (f *fleet) startAll(names ...string) {
	for _, name := range names {
		f.start(name)
	}
}

func (f *fleet) running() []*process {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*process
	for _, p := range f.processes {
		out = append(out, p)
	}
	return out
}

func (f *fleet) get(name string) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[name]
}

// kill ends a process at once, wherever it is.
func (f *fleet) kill(name string) {
	p := f.get(name)
	_ = p.cmd.Process.Kill()
	<-p.done
	f.forget(p)
}

// drained is how long a process may take to end: its drain takes 20 s at most.
const drained = 2 * time.Minute

// stop drains a process, which must end by itself, with exit code 0.
func (f *fleet) stop(name string) {
	f.t.Helper()
	p := f.get(name)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(drained):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.done
		f.t.Errorf("%s: still there %s after SIGTERM\n%s", name, drained, p.tail(60))
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		f.t.Errorf("%s: exit code %d after SIGTERM\n%s", name, code, p.tail(20))
	}
	f.forget(p)
}

func (f *fleet) forget(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.processes[p.name] == p {
		delete(f.processes, p.name)
	}
	f.ended = append(f.ended, p)
}

// died returns the processes that ended without being told to.
func (f *fleet) died() []*process {
	var out []*process
	for _, p := range f.running() {
		select {
		case <-p.done:
			out = append(out, p)
		default:
		}
	}
	return out
}

func (p *process) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// killer kills and restarts processes at random moments, and other things that are given.
type killer struct {
	fleet  *fleet
	dice   *rand.Rand
	pause  time.Duration // between kills, on average
	others []func() string
	often  int // one of so many is one of others; 0: of 8
	// untried tells that something that the test is for did not happen yet; nil: all did
	untried func() bool
	log     []string
}

// once kills something, and starts it again a little later.
func (k *killer) once(names []string) {
	testkit.Pause(k.fleet.t.Context(), time.Duration(float64(k.pause)*(0.2+1.6*k.dice.Float64()))) // at random
	if len(k.others) > 0 && k.dice.IntN(cmp.Or(k.often, 8)) == 0 {
		k.log = append(k.log, k.others[k.dice.IntN(len(k.others))]())
		return
	}
	name := names[k.dice.IntN(len(names))]
	k.fleet.kill(name)
	testkit.Pause(k.fleet.t.Context(), time.Duration(k.dice.IntN(1500))*time.Millisecond)
	k.fleet.start(name)
	k.log = append(k.log, name)
}

func (k *killer) String() string {
	return fmt.Sprintf("%d kills: %s", len(k.log), strings.Join(k.log, " "))
}
