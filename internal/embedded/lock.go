package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lock keeps a data directory to one process. The system gives it back when the process ends, however it ends.
type lock struct{ file *flock.Flock }

// LockedError says that another process uses the data directory.
type LockedError struct {
	Dir string
	PID int // 0: not known
}

// Error names the directory and its holder, and says what can be done.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("data directory %s is in use by %s; the embedded servers serve one process: stop that one, "+
		"or give this one another data_dir, or name servers with kafka.brokers and database.mysql", e.Dir, holder)
}

// takeLock locks dir and leaves our process id in the lock's file.
func takeLock(dir string) (*lock, error) {
	name := filepath.Join(dir, "lock")
	l := &lock{flock.New(name)}
	ok, err := l.file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("data_dir: lock %s: %w", name, err)
	}
	if !ok {
		content, _ := os.ReadFile(name)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
		return nil, &LockedError{dir, pid}
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = l.release()
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	return l, nil
}

func (l *lock) release() error { return l.file.Unlock() }
