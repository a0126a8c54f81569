// Package expression is the language of filter and map steps: expr-lang's grammar, evaluated with
// the numbers, nulls and texts that records between an API and a database need.
//
// [Compile] parses one expression with expr-lang's parser and turns its tree into Go closures over
// [Value]. What differs from expr-lang's own evaluator, and why there is one of our own, is in
// docs/decisions/0001-expression-language.md:
//
//   - numbers are exact decimals, of any size up to a documented bound, and a number that is only
//     copied keeps its bytes;
//   - only the fields that expressions name are cut out of the record ([Extractor]), as JSON tokens
//     that are decoded where an operation needs it;
//   - a missing field and a null are told apart by has(), and both are refused by every operation
//     but ==, !=, ??, ?: and has, so that a record never turns into a wrong row in silence.
//
// A [Scope] is what expressions may name: the fields of a record, or the columns of an earlier map
// step. Programs of one scope share its slots. Programs, scopes and extractors are read-only after
// they are made and may be used concurrently, each goroutine with its own [Frame].
package expression
