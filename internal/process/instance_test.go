package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// take takes a name in a temporary directory of the test's own.
func take(t *testing.T, stage string) *instance {
	t.Helper()
	i, err := takeInstance("shop", stage, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.release() })
	return i
}

func TestANameComesBack(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("MILLRACE_INSTANCE", "")
	first, second := take(t, Processor), take(t, Processor)
	if first.name == second.name {
		t.Fatalf("two processes are %s", first.name)
	}
	if !strings.HasSuffix(first.name, "-0") || !strings.HasSuffix(second.name, "-1") {
		t.Errorf("named %s and %s", first.name, second.name)
	}
	if sink := take(t, Sink); sink.name != first.name {
		t.Errorf("the first sink is %s, the first processor %s: stages should not take each other's numbers", sink.name, first.name)
	}
	if err := first.release(); err != nil { // as the system does for a process that is killed
		t.Fatal(err)
	}
	if again := take(t, Processor); again.name != first.name {
		t.Errorf("came back as %s, was %s", again.name, first.name)
	}
}

func TestANameThatIsGivenIsTaken(t *testing.T) {
	t.Setenv("MILLRACE_INSTANCE", "from-environment")
	for given, want := range map[string]string{"from-flag": "from-flag", "": "from-environment"} {
		i, err := takeInstance("shop", Sink, given)
		if err != nil || i.name != want {
			t.Errorf("given %q: %v %v, want %s", given, i, err, want)
		}
	}
	t.Setenv("MILLRACE_INSTANCE", "a/b")
	if _, err := takeInstance("shop", Sink, ""); err == nil || !strings.Contains(err.Error(), "MILLRACE_INSTANCE") {
		t.Errorf("%v, want an error that names the variable", err)
	}
}

func TestNoPlaceForALockSaysWhatToDo(t *testing.T) {
	t.Setenv("MILLRACE_INSTANCE", "")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	_, err := takeInstance("shop", Sink, "")
	if err == nil || !strings.Contains(err.Error(), "--instance") {
		t.Errorf("%v, want an error that names --instance", err)
	}
	if _, statErr := os.Stat(os.TempDir()); statErr == nil {
		t.Error("the directory was made")
	}
}
