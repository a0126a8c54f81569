// Package casebook runs the tests of a pipeline file: recorded answers, or records that stand in the test itself, go
// through the stages' own code without Kafka and a database, and what comes out is compared with the rows and dead
// letters that the test expects.
package casebook
