package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// instance is the name of a stage in this process among all processes that run this stage of the pipeline, for
// transactional ids and group members. A process that is killed and started again takes the same name, and with it its
// place: the broker then aborts the transaction that it left open. Two processes never have the same one.
type instance struct {
	name string
	lock *flock.Flock // nil: the name was given
}

// maxSlots bounds the processes of one stage of a pipeline on one host.
const maxSlots = 1000

var odd = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// takeInstance returns the name that is given, or that of the environment, or the first of host-0, host-1, … that no
// other process on this host holds for this stage. The number is held by a lock on a file in the system's temporary
// directory, which the system gives back however the process ends.
func takeInstance(pipeline, stage, given string) (*instance, error) {
	if given == "" {
		given = os.Getenv("MILLRACE_INSTANCE")
	}
	if given != "" {
		if odd.MatchString(given) {
			return nil, &RefusedError{fmt.Errorf("MILLRACE_INSTANCE: %q; it must be letters, digits, dots, - and _", given)}
		}
		return &instance{name: given}, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("no host name, so give this process a name of its own with --instance: %w", err)
	}
	host = strings.Trim(odd.ReplaceAllString(host, "-"), "-")
	var refused error
	for slot := range maxSlots {
		name := filepath.Join(os.TempDir(), fmt.Sprintf("millrace-%s-%s-%d.lock", pipeline, stage, slot))
		lock := flock.New(name)
		ok, err := lock.TryLock()
		switch {
		case ok:
			return &instance{host + "-" + strconv.Itoa(slot), lock}, nil
		case errors.Is(err, os.ErrPermission): // another user's, who may be using it
			refused = err
		case err != nil:
			return nil, fmt.Errorf("take an instance name: %w; give one with --instance", err)
		}
	}
	if refused != nil {
		return nil, fmt.Errorf("take an instance name: %w; give one with --instance", refused)
	}
	return nil, fmt.Errorf("%d processes run %s of the pipeline %s on this host; give this one a name with --instance", maxSlots, stage, pipeline)
}

// Instance is the name of another kind of process of a pipeline, such as one that replays, among its like: given, or
// that of the environment, or one that is free on this host until release is called. The error may be a
// *[RefusedError].
func Instance(pipeline, kind, given string) (name string, release func() error, err error) {
	i, err := takeInstance(pipeline, kind, given)
	if err != nil {
		return "", nil, err
	}
	return i.name, i.release, nil
}

func (i *instance) release() error {
	if i.lock == nil {
		return nil
	}
	return i.lock.Unlock()
}
