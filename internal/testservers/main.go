package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/internal/testkit"
)

// EnvRequire says that tests must fail, not skip, where there is no Docker.
const EnvRequire = "MILLRACE_REQUIRE_DOCKER"

// shared are the containers that live until the process ends.
var shared struct {
	mu         sync.Mutex
	inMain     bool
	containers []*container
}

// Main is [Run], checks that no goroutine is left if all tests passed, and exits. It is what TestMain calls.
func Main(m *testing.M, opts ...goleak.Option) {
	code := Run(m)
	if code == 0 {
		if err := testkit.NoLeak(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "testservers:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Run runs the tests of a package, and removes the shared servers, also when it is interrupted. It returns the code to
// exit with.
func Run(m *testing.M) (code int) {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-interrupted:
			_ = closeShared()
			os.Exit(130)
		case <-done:
		}
	}()
	code = m.Run()
	signal.Stop(interrupted)
	close(done)
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
		code = max(code, 1)
	}
	return code
}

func closeShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var errs []error
	for _, c := range shared.containers {
		errs = append(errs, c.remove())
	}
	shared.containers = nil
	return errors.Join(errs...)
}

// share starts a container that lives until Main ends.
func share(start func(context.Context) (*container, error)) (*container, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.inMain {
		return nil, errors.New("func TestMain must call testservers.Main, or Run, which removes the servers at the end")
	}
	c, err := start(context.Background())
	if err == nil {
		shared.containers = append(shared.containers, c)
	}
	return c, err
}

// own starts a container that lives until the test ends.
func own(t testing.TB, start func(context.Context) (*container, error)) *container {
	t.Helper()
	needDocker(t)
	c, err := start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// needDocker skips the test, or fails it if EnvRequire is set, where no Docker engine answers.
func needDocker(t testing.TB) {
	t.Helper()
	err := dockerHealth()
	switch {
	case err == nil:
	case os.Getenv(EnvRequire) == "1":
		t.Fatalf("Docker is required (%s=1) and does not answer: %v", EnvRequire, err)
	default:
		t.Skipf("skipped: needs Docker, which does not answer: %v", err)
	}
}

var dockerHealth = sync.OnceValue(func() (err error) {
	log.SetDefault(quiet{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer func() {
		if r := recover(); r != nil { // testcontainers panics where it finds no engine at all
			err = fmt.Errorf("%v", r)
		}
	}()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	return errors.Join(p.Health(ctx), p.Close())
})

// quiet drops testcontainers' log of every step; what fails is in the errors.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
