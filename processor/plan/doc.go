// Package plan follows names through the steps of a stream: from the fields of a record, over the columns that steps
// make, to the columns of the table.
//
// Names change at steps that make columns: after such a step there are its columns and nothing else. What lies between
// two of these steps is a level. Level 0 is the record as the API sent it, whose fields are not known beforehand.
//
// The plan is computed once, by the package steps when it compiles a stream. Validation asks it which names are not
// there and which fields a key column comes from; a runner is wired by it.
package plan
