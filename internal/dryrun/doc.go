// Package dryrun makes rows of a stream's records without Kafka and without a database: the steps are the processor's,
// and the rows the sink's. It is what preview, try and test look through.
package dryrun
