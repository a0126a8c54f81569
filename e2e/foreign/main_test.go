//go:build integration

package foreign_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace"
	"github.com/millrace-io/millrace/internal/testkit"
)

// asMillrace makes the test binary millrace.
const asMillrace = "FOREIGN_TEST_AS_MILLRACE"

func TestMain(m *testing.M) {
	if os.Getenv(asMillrace) != "" {
		os.Exit(millrace.Main())
	}
	os.Exit(m.Run())
}

const (
	patience    = 3 * time.Minute // how long a test waits for what must come
	installTime = 9 * time.Minute // how long an installation may take
)

// user is somebody who works with millrace in a directory.
type user struct {
	t   *testing.T
	dir string
	env []string
}

func newUser(t *testing.T, env ...string) *user {
	t.Helper()
	return &user{t: t, dir: t.TempDir(), env: env}
}

func (u *user) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir, cmd.Env = u.dir, append(append(os.Environ(), asMillrace+"=1"), u.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	return cmd
}

// millrace runs a command that must succeed, and returns what it prints on stdout.
func (u *user) millrace(args ...string) string {
	u.t.Helper()
	began := time.Now()
	cmd := u.command(u.t.Context(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("millrace %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	u.t.Logf("%5.1f s  millrace %s", time.Since(began).Seconds(), strings.Join(args, " "))
	return stdout.String()
}

// run starts millrace, which goes on until the test ends, or stop is called: it must end well.
func (u *user) run(args ...string) (stop func()) {
	u.t.Helper()
	ctx, cancel := context.WithCancel(u.t.Context())
	cmd := u.command(ctx, args...)
	var log testkit.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			u.t.Errorf("millrace %s: %v\n%s", strings.Join(args, " "), err, log.String())
		}
	}
	u.t.Cleanup(func() {
		stop()
		if u.t.Failed() {
			u.t.Logf("millrace %s:\n%s", strings.Join(args, " "), log.String())
		}
	})
	return stop
}

// write writes a file of the user's.
func (u *user) write(name, text string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
}

// read reads one.
func (u *user) read(name string) string {
	u.t.Helper()
	text, err := os.ReadFile(filepath.Join(u.dir, name))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(text)
}

// change puts a text in the place of another in a file of the user's.
func (u *user) change(name, was, is string) {
	u.t.Helper()
	text := u.read(name)
	if !strings.Contains(text, was) {
		u.t.Fatalf("%s has no %q:\n%s", name, was, text)
	}
	u.write(name, strings.Replace(text, was, is, 1))
}

// cache is a directory that outlives the test, for what is installed.
func cache(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "millrace-foreign", name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return dir
}

// install runs a command of an installation; the test is skipped if it fails.
func install(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: nothing is installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("%5.1f s  %s %s", time.Since(began).Seconds(), name, strings.Join(args, " "))
	if err != nil {
		t.Skipf("it cannot be installed here: %s %s: %v: %s", name, strings.Join(args, " "), err, lastOf(string(out)))
	}
}

func lastOf(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 400 {
		text = "…" + text[len(text)-400:]
	}
	return text
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(testkit.FreePort(t))
}

// serve starts a server and waits until url is answered with 200. It is killed when the test ends.
func serve(t *testing.T, dir string, env []string, url, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = 10 * time.Second
	var log testkit.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", name, lastOf(log.String()))
		}
	})
	testkit.Eventually(t, patience, testkit.That(name+" answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended: %s", name, log.String())
		default:
		}
		status, _ := send(t, http.MethodGet, url, nil, "")
		return status == http.StatusOK
	}))
}

// send makes a request; status 0: nobody answers.
func send(t *testing.T, method, url string, header map[string]string, body string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// must makes a request that must be answered with 2xx.
func must(t *testing.T, method, url string, header map[string]string, body string) string {
	t.Helper()
	status, answer := send(t, method, url, header, body)
	if status < 200 || status > 299 {
		t.Fatalf("%s %s: %d %s", method, url, status, answer)
	}
	return answer
}
