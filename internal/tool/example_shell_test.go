package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/millrace-io/millrace/internal/testkit"
)

// allowed is how long a line may take: far more than it does anywhere.
const allowed = 6 * time.Minute

// programScript makes the test binary a program. A stage that is to listen at the default port listens at a free one,
// and the health check asks there.
const programScript = `#!/bin/sh
case "${0##*/} $*" in
*--listen*|*--url*) ;;
"millrace run "*|"millrace ingest "*|"millrace processor "*|"millrace sink "*|"ingest "*|"processor "*|"sink "*) set -- "$@" --listen "$LISTEN" ;;
"millrace healthcheck"*) set -- "$@" --url "http://$LISTEN/readyz" ;;
esac
export MILLRACE_TEST_AS_BINARY="${0##*/}"
exec "$TEST_BINARY" "$@"
`

// place is a directory in which lines run, and what differs from a user's.
type place struct {
	env   []string
	dir   string
	ports map[string]string // of the lines → of the test
	api   string
}

func newPlace(t *testing.T, dir, api string) *place {
	t.Helper()
	s := &place{dir: dir, api: api, ports: map[string]string{}}
	for _, port := range []string{"9464", "9465", "8080"} {
		s.ports["localhost:"+port] = freeAddress(t)
	}
	bin := t.TempDir()
	for name, text := range map[string]string{
		"millrace": programScript, "ingest": programScript, "processor": programScript, "sink": programScript, "jq": programScript, "curl": programScript,
		"docker": "#!/bin/sh\n", "git": "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.env = append(os.Environ(), `VISUAL=sed -i 's/"items": 0/"items": 1/'`, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TEST_BINARY="+must(t, os.Executable), "LISTEN="+s.ports["localhost:9464"],
		"TMPDIR="+t.TempDir(), "TERM=xterm-256color", "HOSTNAME=shop-1", "SHOP_TOKEN=hush-hush", "SHOP_KEY=hush-hush-key")
	return s
}

// playing is a line that runs.
type playing struct {
	*exec.Cmd
	out   testkit.Buffer
	ended chan struct{} // closed when it has
	err   error         // of its end
	at    string        // where it listens, if it does
}

// asks are the questions to which the person at the terminal says yes.
var asks = regexp.MustCompile(`\[y/N\] $|Write \S+\?`)

// start starts a line, on a terminal if it may ask.
func (s *place) start(t *testing.T, line string) (*playing, error) {
	t.Helper()
	p := &playing{ended: make(chan struct{}), at: s.ports["localhost:9464"]}
	for from, to := range s.ports {
		if strings.Contains(line, "--listen "+from) {
			p.at = to
		}
		line = strings.ReplaceAll(line, from, to)
	}
	line = strings.ReplaceAll(line, "https://api.example.com", s.api)
	person := mayAsk(line)
	if !strings.ContainsAny(line, "|>&;") {
		line = "exec " + line // so that a signal is for it, not for the shell
	}
	ctx, cancel := context.WithTimeout(t.Context(), allowed)
	t.Cleanup(func() { cancel(); <-p.ended })
	p.Cmd = exec.CommandContext(ctx, "sh", "-c", line)
	p.Dir, p.Env, p.WaitDelay = s.dir, s.env, 5*time.Second
	if !person {
		p.Stdout, p.Stderr = &p.out, &p.out
		err := p.Start()
		go func() { p.err = p.Wait(); close(p.ended) }()
		return p, err
	}
	p.Env = append(slices.Clip(p.Env), racesOfTheLibrary)
	terminal, err := pty.StartWithSize(p.Cmd, &pty.Winsize{Rows: 40, Cols: 160})
	if err != nil {
		close(p.ended)
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	go func() { p.err = p.Wait(); close(p.ended) }()
	go p.answer(terminal)
	return p, nil
}

// answer is the person: it says yes as long as it is asked.
func (p *playing) answer(terminal *os.File) {
	defer func() { _ = terminal.Close() }()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for b := make([]byte, 4096); ; {
			n, err := terminal.Read(b)
			_, _ = p.out.Write(b[:n])
			if strings.Contains(string(b[:n]), "\x1b[6n") { // it asks a terminal where the cursor is
				_, _ = terminal.WriteString("\x1b[1;1R")
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for answered := ""; ; {
		select {
		case <-read:
			return
		case <-tick.C:
		}
		// what is typed before a form listens is lost
		if text := p.out.String(); asks.MatchString(text) && (text != answered || strings.Contains(text, "Write ")) {
			answered = text
			_, _ = terminal.WriteString("y")
			if !strings.Contains(text, "Write ") {
				_, _ = terminal.WriteString("\n")
			}
		}
	}
}

// mayAsk: init asks, and what has a flag --yes.
func mayAsk(line string) bool {
	if strings.Contains(line, "--yes") || !strings.HasPrefix(line, "millrace ") {
		return false
	}
	found, _, err := newRootCommand().Find(strings.Fields(line)[1:])
	return err == nil && found.Flags().Lookup("yes") != nil
}

// runsOn: such a line runs until it is told to stop.
func runsOn(line string) bool {
	if strings.Contains(line, "--watch") || strings.Contains(line, "--follow") || strings.HasPrefix(line, "millrace demo api") {
		return true
	}
	return regexp.MustCompile(`^(millrace )?(run|ingest|processor|sink) `).MatchString(line) && !strings.Contains(line, "--once")
}

// begin starts a line that runs on, and waits until it is ready.
func (s *place) begin(t *testing.T, line string) (*playing, error) {
	t.Helper()
	p, err := s.start(t, line)
	if err != nil {
		return nil, err
	}
	deadline := time.NewTimer(allowed / 2)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !s.ready(t, p, line) {
		select {
		case <-p.ended:
			return nil, fmt.Errorf("it has ended: %w\n%s", p.err, p.out.String())
		case <-deadline.C:
			return nil, fmt.Errorf("it is not ready\n%s", p.out.String())
		case <-tick.C:
		}
	}
	return p, nil
}

func (s *place) ready(t *testing.T, p *playing, line string) bool {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "millrace replay "):
		return s.run(t, "millrace replay status shop.yaml orders") == nil
	case strings.HasPrefix(line, "millrace demo api"):
		code, _ := get(t, "http://"+p.at+"/fdsnws/event/1/version")
		return code != 0
	case strings.Contains(line, "demo --follow"):
		return strings.Contains(p.out.String(), " deleted")
	case strings.Contains(line, "--watch"), strings.Contains(line, "--follow"):
		return p.out.String() != ""
	}
	code, body := get(t, "http://"+p.at+"/readyz")
	return code == http.StatusOK || strings.Contains(body, `"sink":"MySQL`) // a database that is not there is waited for
}

// end tells a line to stop, and waits until it has. Its error is that of its exit code.
func (p *playing) end() error {
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("%w\n%s", p.err, p.out.String())
	}
	return nil
}

// run runs a line to its end; one that runs on is told to stop once it is ready.
func (s *place) run(t *testing.T, line string) error {
	t.Helper()
	if runsOn(line) {
		p, err := s.begin(t, line)
		if err != nil {
			return err
		}
		return p.end()
	}
	p, err := s.start(t, line)
	if err != nil {
		return err
	}
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("%w\n%s", p.err, p.out.String())
	}
	if strings.Contains(p.out.String(), "hush-hush") {
		return fmt.Errorf("it prints a secret\n%s", p.out.String())
	}
	return nil
}

// freeAddress is one that nothing listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprint("127.0.0.1:", testkit.FreePort(t))
}

// jqMain is jq, as far as the examples need it: its input is JSON.
func jqMain() int {
	for in := json.NewDecoder(os.Stdin); ; {
		var v any
		if err := in.Decode(&v); errors.Is(err, io.EOF) {
			return 0
		} else if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "jq:", err)
			return 2
		}
	}
}

// curlMain is curl, as far as the examples need it: it prints what the URL among its arguments answers.
func curlMain(args []string) int {
	for _, url := range args {
		if strings.HasPrefix(url, "-") {
			continue
		}
		if !strings.Contains(url, "://") {
			url = "http://" + url
		}
		answer, err := http.Get(url)
		if err != nil {
			return 7
		}
		_, _ = io.Copy(os.Stdout, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return 22
		}
	}
	return 0
}
