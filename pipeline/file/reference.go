package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// resolver replaces ${NAME} by a variable of the environment and ${file:PATH} by the content of a file, without the
// white space around it; both are secrets. ${plain:NAME} is a variable that is none, and may be shown. $${ stands for
// ${ itself. A value is resolved after YAML has been parsed, so whatever it holds stays one value.
type resolver struct {
	env     func(string) (string, bool)
	dir     string   // what PATH is relative to
	offline bool     // what does not resolve is no error
	unset   []string // references that do not resolve, as they are written, each once; of offline
}

// standIn takes the place of a reference that does not resolve, where a file is read offline: it fits into most texts.
const standIn = "1"

const maxReferencedBytes = 1 << 20

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// resolved is a value with its references replaced.
type resolved struct {
	text    string
	secrets []pipeline.Reference // that were replaced
	unset   bool                 // standIn is in it
	whole   bool                 // it is nothing but standIn
}

// resolve replaces the references in s. Its errors, one for each reference that does not resolve, name references and
// never what they stand for.
func (r *resolver) resolve(s string) (out resolved, errs []error) {
	var b strings.Builder
	text := s
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			out.text = b.String()
			return out, errs
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return out, append(errs, errors.New(`"${" without "}"; write $${ for the characters ${`))
		}
		variable, plain := strings.CutPrefix(name, "plain:")
		value, err := r.lookup(variable, plain)
		unset := r.offline && errors.Is(err, errUnset)
		switch {
		case unset:
			value, out.unset, out.whole = standIn, true, text == "${"+name+"}"
			r.miss("${" + name + "}")
		case err != nil:
			errs = append(errs, err)
		}
		if !plain && !unset {
			out.secrets = append(out.secrets, pipeline.Reference{Name: name, Value: pipeline.Secret(value)})
		}
		b.WriteString(value)
		s = rest
	}
}

// errUnset marks a reference to what is not there.
var errUnset = errors.New("not there")

// unsetError is an errUnset with a text.
type unsetError struct{ error }

func (unsetError) Is(target error) bool { return target == errUnset }

func (r *resolver) miss(reference string) {
	if !slices.Contains(r.unset, reference) {
		r.unset = append(r.unset, reference)
	}
}

func (r *resolver) lookup(name string, plain bool) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok && !plain {
		return r.read(path)
	}
	if !envName.MatchString(name) {
		return "", fmt.Errorf("${%s} is not a reference: want ${NAME}, of the environment, ${file:PATH}, or ${plain:NAME}, which may be shown", name)
	}
	value, ok := r.env(name)
	if !ok {
		return "", unsetError{fmt.Errorf("${%s}: the environment has no variable %s", name, name)}
	}
	return value, nil
}

// read returns the content of a regular file: another kind could block for ever, or have no end.
func (r *resolver) read(path string) (string, error) {
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
		return "", unsetError{reason(err)}
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
