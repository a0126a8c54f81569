// Package earthquakes is an example: the earthquake catalogue of the United States Geological Survey, mirrored
// into a table. pipeline.yaml is all there is to it; the package only carries the file into programs and its
// test runs it against recorded answers.
package earthquakes

import _ "embed" // the pipeline file

// Pipeline is pipeline.yaml.
//
//go:embed pipeline.yaml
var Pipeline []byte
