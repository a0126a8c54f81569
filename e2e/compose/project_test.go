//go:build compose

package compose_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// project is docker-compose.yml running under a name and on ports of this test's own.
type project struct {
	t                  *testing.T
	name               string
	env                []string
	mysqlPort, apiPort string
}

func newProject(t *testing.T) *project {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "compose", "version").CombinedOutput(); err != nil {
		if os.Getenv("MILLRACE_REQUIRE_DOCKER") == "1" {
			t.Fatalf("docker compose is required: %v\n%s", err, out)
		}
		t.Skipf("skipped: needs docker compose: %v", err)
	}
	p := &project{t: t, name: "millrace-test-" + strconv.Itoa(os.Getpid()), mysqlPort: freePort(t), apiPort: freePort(t)}
	p.env = append(os.Environ(), "MYSQL_PORT="+p.mysqlPort, "API_PORT="+p.apiPort, "KAFKA_PORT="+freePort(t),
		"COMPOSE_PROGRESS=quiet")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.run(context.Background(), "logs", "--no-color", "--tail", "40")
			t.Logf("logs:\n%s", out)
		}
		if out, err := p.run(context.Background(), "down", "--volumes", "--remove-orphans", "--timeout", "5"); err != nil {
			t.Errorf("docker compose down: %v\n%s", err, out)
		}
	})
	return p
}

// run runs docker compose with args.
func (p *project) run(ctx context.Context, args ...string) (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "-p", p.name}, args...)...)
	cmd.Dir, cmd.Env = root, p.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// compose is run, whose failure ends the test.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	out, err := p.run(p.t.Context(), args...)
	if err != nil {
		p.t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// containers returns the ids of a service's containers.
func (p *project) containers(service string) []string {
	p.t.Helper()
	return strings.Fields(p.compose("ps", "--all", "--quiet", service))
}

// docker runs the docker command.
func (p *project) docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// waitHealthy waits until every container of the services is healthy.
func (p *project) waitHealthy(services ...string) {
	p.t.Helper()
	for _, service := range services {
		p.wait(3*time.Minute, func(ctx context.Context) error {
			for _, id := range p.containers(service) {
				switch health, err := p.docker(ctx, "inspect", "-f", "{{.State.Health.Status}}", id); {
				case err != nil:
					return err
				case health != "healthy":
					return fmt.Errorf("%s is %s", service, health)
				}
			}
			return nil
		})
	}
}

// killOne ends the process of one container of a service as a crash would, and waits until Docker has started it
// again. docker kill will not do: the engine takes it for a person's wish and leaves the container stopped.
func (p *project) killOne(service string) {
	p.t.Helper()
	id := p.containers(service)[0]
	state := func(ctx context.Context) (pid string, err error) {
		return p.docker(ctx, "inspect", "-f", "{{.State.Pid}}", id)
	}
	before, err := state(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	// From a container, so that it works where the engine runs in a machine of its own.
	if _, err := p.docker(p.t.Context(), "run", "--rm", "--pid=host", "--entrypoint", "bash", "mysql:9.7",
		"-c", "kill -KILL "+before); err != nil {
		p.t.Fatal(err)
	}
	p.wait(time.Minute, func(ctx context.Context) error {
		switch now, err := state(ctx); {
		case err != nil:
			return err
		case now == before || now == "0":
			return fmt.Errorf("%s is not started again", service)
		}
		return nil
	})
	p.t.Logf("killed %s; started again", service)
}

// wait tries f until it succeeds.
func (p *project) wait(limit time.Duration, f func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	testkit.Eventually(p.t, limit, func() error { return f(ctx) })
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
