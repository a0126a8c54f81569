package process

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// instance is the name of this process among all that run the pipeline, for transactional ids. A
// process that is killed and started again takes the same name, and with it its place: the broker then aborts
// the transaction that it left open. Two processes never have the same one.
type instance struct {
	name string
	lock *flock.Flock // nil: the name was given
}

// maxSlots bounds the processes of one pipeline on one host.
const maxSlots = 1000

var odd = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// takeInstance returns the name that is given, or that of the environment, or the first of host-0, host-1, … that no
// other process on this host holds.
func takeInstance(pipeline, given string) (*instance, error) {
	if given == "" {
		given = os.Getenv("MILLRACE_INSTANCE")
	}
	if given != "" {
		if odd.MatchString(given) {
			return nil, fmt.Errorf("--instance: %q: only letters, digits, dots, - and _ are allowed", given)
		}
		return &instance{name: given}, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("no host name, so give this process a name of its own with --instance: %w", err)
	}
	host = strings.Trim(odd.ReplaceAllString(host, "-"), "-")
	for slot := range maxSlots {
		name := filepath.Join(os.TempDir(), fmt.Sprintf("millrace-%s-%d.lock", pipeline, slot))
		lock := flock.New(name)
		ok, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("take an instance name: %w; give one with --instance", err)
		}
		if ok {
			return &instance{host + "-" + strconv.Itoa(slot), lock}, nil
		}
	}
	return nil, fmt.Errorf("%d processes of the pipeline %s run on this host; give this one a name with --instance", maxSlots, pipeline)
}

func (i *instance) release() error {
	if i.lock == nil {
		return nil
	}
	return i.lock.Unlock()
}
