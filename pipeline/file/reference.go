package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// resolver replaces ${NAME} by a variable of the environment and ${file:PATH} by the content of a file, without the
// white space around it; both are secrets. ${plain:NAME} is a variable that is none, and may be shown. $${ stands for
// ${ itself. A value is resolved after YAML has been parsed, so whatever it holds stays one value.
type resolver struct {
	env func(string) (string, bool)
	dir string // what PATH is relative to
}

const maxReferencedBytes = 1 << 20

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// resolve returns s with its references replaced, and those that are secrets. Its errors, one for each reference that
// does not resolve, name references and never what they stand for.
func (r resolver) resolve(s string) (out string, secrets []pipeline.Reference, errs []error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), secrets, errs
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", secrets, append(errs, errors.New(`"${" without "}"; write $${ for the characters ${`))
		}
		variable, plain := strings.CutPrefix(name, "plain:")
		value, err := r.lookup(variable, plain)
		if err != nil {
			errs = append(errs, err)
		}
		if !plain {
			secrets = append(secrets, pipeline.Reference{Name: name, Value: pipeline.Secret(value)})
		}
		b.WriteString(value)
		s = rest
	}
}

func (r resolver) lookup(name string, plain bool) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok && !plain {
		return r.read(path)
	}
	if !envName.MatchString(name) {
		return "", fmt.Errorf("${%s} is not a reference: want ${NAME}, of the environment, ${file:PATH}, or ${plain:NAME}, which may be shown", name)
	}
	value, ok := r.env(name)
	if !ok {
		return "", fmt.Errorf("${%s}: the environment has no variable %s", name, name)
	}
	return value, nil
}

// read returns the content of a regular file: another kind could block for ever, or have no end.
func (r resolver) read(path string) (string, error) {
	full := path
	if !filepath.IsAbs(path) {
		full = filepath.Join(r.dir, path)
	}
	reason := func(err error) error {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return fmt.Errorf("${file:%s}: %w", path, err)
	}
	info, err := os.Stat(full)
	if err != nil {
		return "", reason(err)
	}
	if !info.Mode().IsRegular() {
		return "", reason(errors.New("is not a regular file"))
	}
	f, err := os.Open(full)
	if err != nil {
		return "", reason(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxReferencedBytes+1))
	if err != nil {
		return "", reason(err)
	}
	if len(content) > maxReferencedBytes {
		return "", reason(fmt.Errorf("is larger than %d bytes", maxReferencedBytes))
	}
	return strings.TrimSpace(string(content)), nil
}
