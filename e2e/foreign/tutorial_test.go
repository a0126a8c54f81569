//go:build integration

package foreign_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/tutorial.md again")

const tutorialPage = "../../docs/tutorial.md"

// changing is what another run prints otherwise.
var changing = regexp.MustCompile(`\d+ ms|\d+ bytes|raw \d+:\d+`)

// TestTutorial does what docs/tutorial.md says, and compares what the commands print with what the page shows.
func TestTutorial(t *testing.T) {
	installDatasette(t)
	text, err := os.ReadFile(tutorialPage)
	if err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	bin := t.TempDir()
	script := "#!/bin/sh\n" + asMillrace + "=1 exec " + os.Args[0] + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(bin, "millrace"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	u.env = append(u.env, "PATH="+bin+":"+os.Getenv("PATH"))
	port := freePort(t)
	commands, spent := 0, time.Duration(0)
	var page strings.Builder
	fence := ""
	var block []string
	for line := range strings.Lines(string(text)) {
		switch {
		case fence == "" && strings.HasPrefix(line, "```"):
			fence, block = strings.TrimSpace(strings.TrimPrefix(line, "```")), nil
			page.WriteString(line)
		case fence != "" && strings.HasPrefix(line, "```"):
			if name, is := strings.CutPrefix(fence, "python file="); is {
				u.write(name, strings.Join(block, ""))
				page.WriteString(strings.Join(block, ""))
			}
			fence = ""
			page.WriteString(line)
		case strings.HasPrefix(fence, "python file="):
			block = append(block, line)
		case fence == "console" && strings.HasPrefix(line, "$ "):
			page.WriteString(line)
			began := time.Now()
			page.WriteString(u.shell(strings.TrimSpace(line[2:]), port))
			commands, spent = commands+1, spent+time.Since(began)
		case fence == "console": // what it printed then
		default:
			page.WriteString(line)
		}
	}
	t.Logf("%d commands in %.1f s", commands, spent.Seconds())
	if commands < 15 {
		t.Errorf("only %d commands", commands)
	}
	if *update {
		if err := os.WriteFile(tutorialPage, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	plain := func(s string) string { return changing.ReplaceAllString(s, "…") }
	if d := cmp.Diff(plain(string(text)), plain(page.String())); d != "" {
		t.Errorf("run go test -tags integration ./e2e/foreign -run Tutorial -update; (-page +commands)\n%s", d)
	}
}

// shell runs a command of the page, and returns what it prints. The page's port is 8001. What installs is done already,
// and what serves is started by the test.
func (u *user) shell(command, port string) string {
	u.t.Helper()
	switch {
	case strings.Contains(command, "pip install"):
		return ""
	case strings.HasSuffix(command, "&"):
		serve(u.t, u.dir, nil, "http://127.0.0.1:"+port+"/shop.json", installDatasette(u.t), "serve", "shop.db", "--port", port)
		return ""
	}
	cmd := exec.CommandContext(u.t.Context(), "bash", "-c", strings.ReplaceAll(command, "8001", port))
	cmd.Dir, cmd.Env = u.dir, append(os.Environ(), u.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.ReplaceAll(string(out), ":"+port, ":8001")
}
