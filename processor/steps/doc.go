// Package steps compiles the steps of a stream and runs them: a record in, rows out.
//
// Each kind of step is one file. It says how the step is compiled, which expressions it has and which columns come out
// ([builder] notes both for the plan), and how it is applied. A new kind is a file, a field of [pipeline.Step] and a
// line in the table kinds.
//
// Steps depend on nothing but the record, so that redelivery and replay give the same.
package steps
