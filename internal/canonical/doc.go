// Package canonical is the one spelling of a JSON number that all numbers of its value share. Raw keys are written with
// it, versions and cursors are read by it, and the processor compares key columns by it: 7E+3 and 7000 are one key.
package canonical
