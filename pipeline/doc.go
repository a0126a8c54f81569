// Package pipeline is the file that describes a pipeline: its types, how it is loaded and
// validated, and its JSON Schema.
//
// [Load] reads a file, resolves ${NAME} and ${file:PATH} references, fills in defaults, and
// reports every problem at once, each with line, column, the offending text and a hint. What
// Load returns is complete: no stage has to know a default, and every reference is resolved.
// The stages ingest, processor and sink all read the same [Pipeline]; they never import each
// other.
package pipeline
