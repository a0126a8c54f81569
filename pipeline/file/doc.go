// Package file reads the file that describes a pipeline: which keys it has, how it is decoded and checked, and its
// JSON Schema.
//
// [Load] reads a file, resolves ${NAME} and ${file:PATH} references, fills in defaults, and reports every problem at
// once, each with line, column, the offending text and a hint.
//
//	load       the bytes: size, YAML syntax, one document
//	keys       the keys themselves, with bounds, defaults and what an editor says of them
//	decode     the tree: which keys stand where; scalar, amount, several and compound read their values
//	build      a pipeline.Pipeline from the decoded file, and what several keys have to agree on; build_process asks the
//	           processor's plan what becomes of names, expression points to a place in an expression
//	problem    what is wrong, with its place; mask keeps secrets out of it
//	schema     the same keys as a JSON Schema
package file
