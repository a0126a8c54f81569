// Package pipeline has the types of a pipeline: what the stages ingest, processor and sink all work from, and
// [Secret]. Package pipeline/file reads a [Pipeline] from its file; a program may also make one itself.
//
// A Pipeline is complete: no stage has to know a default, and every reference is resolved. The stages read it at the
// same time and never change it; they never import each other.
package pipeline
