// Command screens runs millrace and draws what it prints, as it comes, into docs/demo.svg and docs/init.svg: `make
// screens`. They are for README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "screens:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "millrace-screens-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/millrace").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	demo, err := record(ctx, dir, binary, "demo")
	if err != nil {
		return err
	}
	const address = "localhost:8765"
	stopAPI, err := startAPI(ctx, binary, address)
	if err != nil {
		return err
	}
	begin, err := record(ctx, dir, binary, "init", "http://"+address+"/fdsnws/event/1/query?format=geojson&orderby=time-asc&limit=100", "-o", "quakes.yaml", "--yes")
	stopAPI()
	if err != nil {
		return err
	}
	for name, s := range map[string]*screen{"docs/demo.svg": demo, "docs/init.svg": begin} {
		if err := os.WriteFile(name, s.svg(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// record runs a command to its end.
func record(ctx context.Context, dir, binary string, args ...string) (*screen, error) {
	s := &screen{command: "millrace " + quoted(args)}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.lines = append(s.lines, line{time.Since(began), strings.ReplaceAll(lines.Text(), dir, "/tmp/millrace-demo")})
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return nil, fmt.Errorf("%s: %w", s.command, err)
	}
	return s, nil
}

// quoted are arguments as a shell takes them.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; strings.ContainsAny(a, "&? ") {
			out[i] = "'" + a + "'"
		}
	}
	return strings.Join(out, " ")
}

// startAPI starts the demonstration's API, and returns when it answers.
func startAPI(ctx context.Context, binary, address string) (stop func(), err error) {
	ctx, end := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			end()
		}
	}()
	server := exec.CommandContext(ctx, binary, "demo", "api", "--no-faults", "--listen", address)
	ready, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	if !bufio.NewScanner(ready).Scan() {
		return nil, errors.New("the demonstration's API does not start")
	}
	return func() {
		end()
		_ = server.Wait() // it was killed
	}, nil
}
