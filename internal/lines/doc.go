// Package lines runs the lines of streams: beside the base line, which is the stream of the pipeline file, pipelines of
// their own that read the same raw topic (topics.LineOf). What lines there are is decided in the control topic of the
// pipeline, see control.Line.
package lines
