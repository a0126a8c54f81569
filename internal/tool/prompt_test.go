package tool

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/millrace-io/millrace/internal/testkit"
)

// racesOfTheLibrary keeps a race out of the exit code: the library of the prompts closes its terminal while it may
// still read.
const racesOfTheLibrary = "GORACE=exitcode=0"

// TestInitAsks: on a terminal, init has a person choose a resource with the arrow keys, and asks before it writes.
func TestInitAsks(t *testing.T) {
	api := ordersAPI(t)
	document := writeFile(t, "openapi.yaml", "openapi: 3.0.3\nservers: [{url: "+api.URL+"/v2}]\npaths: {/customers: {get: {}}, /orders: {get: {}}, /shops: {get: {}}}\n")
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "init", document, "--bearer", "hush-hush-token", "-o", "shop.yaml")
	cmd.Env = append(os.Environ(), asBinary+"=millrace", "TERM=xterm-256color", racesOfTheLibrary)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	var screen testkit.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		for b := make([]byte, 4096); ; {
			n, err := terminal.Read(b)
			_, _ = screen.Write(b[:n])
			if strings.Contains(string(b[:n]), "\x1b[6n") { // it asks a terminal where the cursor is
				_, _ = terminal.WriteString("\x1b[1;1R")
			}
			if err != nil {
				return
			}
		}
	}()
	sees := func(text string) {
		t.Helper()
		testkit.Eventually(t, patience, testkit.That(text, func() bool { return strings.Contains(screen.String(), text) }))
	}
	sees("Which resource?")
	sees("/v2/shops")
	if _, err := terminal.WriteString("\x1b[B"); err != nil { // one down
		t.Fatal(err)
	}
	if _, err := terminal.WriteString("\r"); err != nil {
		t.Fatal(err)
	}
	sees("Write shop.yaml?")
	ended := make(chan error, 1) // room for the one that comes, if nobody waits for it any more
	go func() { ended <- cmd.Wait() }()
	testkit.Eventually(t, patience, testkit.That("it ends after a yes", func() bool {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, screen.String())
			}
			return true
		default:
			_, _ = terminal.WriteString("y") // again, for what is typed before it listens is lost
			return false
		}
	}))
	_ = terminal.Close()
	<-read
	text, err := os.ReadFile("shop.yaml")
	if err != nil || !strings.Contains(string(text), "path: /orders") || strings.Contains(string(text), "hush") {
		t.Errorf("%v\n%s", err, text)
	}
}
