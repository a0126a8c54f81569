package testservers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	mobycontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// startTimeout bounds the start of a server, the pull of its image included.
const startTimeout = 5 * time.Minute

// container is a server in a container whose address stays the same across restarts.
// Its methods must not be called concurrently.
type container struct {
	name  string // for messages
	addr  string // host:port
	ready func(ctx context.Context, addr string) error
	c     testcontainers.Container
	api   *testcontainers.DockerClient
}

// run starts image. options is given the address under which the server will be reached, and port is the
// one on which it listens in the container. ready makes one attempt to use the server.
func run(ctx context.Context, name, image, port string, ready func(context.Context, string) error,
	options func(addr string) []testcontainers.ContainerCustomizer) (*container, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	api, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach Docker: %w", err)
	}
	if err := sweepOnce(ctx, api); err != nil {
		return nil, errors.Join(err, api.Close())
	}
	const attempts = 3 // another process may take the port between our look and the engine's bind
	for range attempts {
		var s *container
		if s, err = runOnce(ctx, api, name, image, port, ready, options); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), api.Close())
}

func runOnce(ctx context.Context, api *testcontainers.DockerClient, name, image, port string,
	ready func(context.Context, string) error, options func(string) []testcontainers.ContainerCustomizer) (*container, error) {
	host, err := dockerHost(ctx)
	if err != nil {
		return nil, err
	}
	hostPort, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &container{name: name, addr: net.JoinHostPort(host, hostPort), ready: ready, api: api}
	labels, err := ownerLabels()
	if err != nil {
		return nil, err
	}
	opts := append([]testcontainers.ContainerCustomizer{
		testcontainers.WithLabels(labels),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithHostConfigModifier(func(h *mobycontainer.HostConfig) {
			h.PortBindings = network.PortMap{network.MustParsePort(port): {{HostIP: netip.IPv4Unspecified(), HostPort: hostPort}}}
		}),
		testcontainers.WithWaitStrategyAndDeadline(startTimeout,
			wait.ForNop(func(ctx context.Context, _ wait.StrategyTarget) error { return s.waitReady(ctx) })),
	}, options(s.addr)...)
	if s.c, err = testcontainers.Run(ctx, image, opts...); err != nil {
		return nil, errors.Join(err, testcontainers.TerminateContainer(s.c))
	}
	return s, nil
}

// dockerHost returns the name or address under which the engine's published ports are reached.
func dockerHost(ctx context.Context) (string, error) {
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", fmt.Errorf("reach Docker: %w", err)
	}
	defer func() { _ = p.Close() }()
	host, err := p.DaemonHost(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the Docker host: %w", err)
	}
	return host, nil
}

// freePort returns a port below the range from which the kernel takes those of outgoing connections.
// A port in that range could be taken by a client that dials the server while it is down, for example
// by connecting to itself, and then the server could not come back.
func freePort(ctx context.Context) (string, error) {
	const low, high, attempts = 20000, 32000, 100
	var lc net.ListenConfig
	for range attempts {
		port := strconv.Itoa(low + rand.IntN(high-low))
		l, err := lc.Listen(ctx, "tcp", ":"+port)
		if err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no free port in [%d, %d)", low, high)
}

// waitReady waits until the server answers or ctx ends.
func (s *container) waitReady(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := s.ready(attempt, s.addr)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s at %s is not ready: %w", s.name, s.addr, err)
		case <-tick.C:
		}
	}
}

// Kill ends the server at once, as a crash of its machine would.
func (s *container) Kill(t testing.TB) {
	t.Helper()
	s.do(t, "kill", func(ctx context.Context) error {
		_, err := s.api.ContainerKill(ctx, s.c.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
		return err
	})
}

// Stop asks the server to end and waits until it has, killing it after 30 s.
func (s *container) Stop(t testing.TB) {
	t.Helper()
	s.do(t, "stop", func(ctx context.Context) error {
		grace := 30
		_, err := s.api.ContainerStop(ctx, s.c.GetContainerID(), client.ContainerStopOptions{Timeout: &grace})
		return err
	})
}

// Start starts a server that was stopped or killed, with its data and at its old address, and waits until
// it answers.
func (s *container) Start(t testing.TB) {
	t.Helper()
	s.do(t, "start", func(ctx context.Context) error {
		if _, err := s.api.ContainerStart(ctx, s.c.GetContainerID(), client.ContainerStartOptions{}); err != nil {
			return err
		}
		return s.waitReady(ctx)
	})
}

// Exec runs a command in the container of a server that runs, and returns what it wrote. It fails the test if the
// command fails.
func (s *container) Exec(t testing.TB, command ...string) (output string) {
	t.Helper()
	s.do(t, "run a command in", func(ctx context.Context) error {
		made, err := s.api.ExecCreate(ctx, s.c.GetContainerID(), client.ExecCreateOptions{
			Cmd: command, TTY: true, AttachStdout: true, AttachStderr: true, // with a terminal, both are one stream of text
		})
		if err != nil {
			return err
		}
		out, err := s.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{TTY: true})
		if err != nil {
			return err
		}
		defer out.Close()
		b, err := io.ReadAll(out.Reader)
		if err != nil {
			return err
		}
		output = string(b)
		is, err := s.api.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
		if err == nil && is.ExitCode != 0 {
			err = fmt.Errorf("%q ended with %d: %s", command, is.ExitCode, b)
		}
		return err
	})
	return output
}

// Pause freezes the server: connections stay open and nothing answers.
func (s *container) Pause(t testing.TB) {
	t.Helper()
	s.do(t, "pause", func(ctx context.Context) error {
		_, err := s.api.ContainerPause(ctx, s.c.GetContainerID(), client.ContainerPauseOptions{})
		return err
	})
}

// Resume ends a pause.
func (s *container) Resume(t testing.TB) {
	t.Helper()
	s.do(t, "resume", func(ctx context.Context) error {
		_, err := s.api.ContainerUnpause(ctx, s.c.GetContainerID(), client.ContainerUnpauseOptions{})
		return err
	})
}

func (s *container) do(t testing.TB, verb string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("%s %s: %v", verb, s.name, err)
	}
}

// remove kills the container, paused or not, and deletes it and its volumes.
func (s *container) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.api.ContainerRemove(ctx, s.c.GetContainerID(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil {
		err = fmt.Errorf("remove %s: %w", s.name, err)
	}
	return errors.Join(err, s.api.Close())
}
