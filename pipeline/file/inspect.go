package file

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// Inspection is what there is to say of a pipeline file that is right.
type Inspection struct {
	Pipeline *pipeline.Pipeline
	Warnings Problems // what is allowed, and probably not meant
	Unset    []string // references that do not resolve, as they are written; of an offline inspection
}

// Inspect reads a pipeline file as [Load] does. Offline, references need not resolve: a value that holds one is checked
// only as far as it can be, and the pipeline is not fit to be run.
func Inspect(path string, offline bool) (*Inspection, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return InspectBytes(path, data, os.LookupEnv, offline)
}

// InspectBytes is to [Inspect] what [Parse] is to [Load].
func InspectBytes(name string, data []byte, env func(string) (string, bool), offline bool) (*Inspection, error) {
	d := &decoder{
		file:  name,
		lines: strings.Split(string(data), "\n"),
		refs:  resolver{env: env, dir: filepath.Dir(name), offline: offline},
	}
	p, err := d.parse(name, data)
	if err != nil {
		return nil, err
	}
	return &Inspection{Pipeline: p, Warnings: d.warnings.sorted(), Unset: d.refs.unset}, nil
}
