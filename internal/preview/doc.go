// Package preview shows what a stream would fetch, and what would become of it, without Kafka and without a database.
// It asks, cuts, follows, steps and makes rows with the stages' own code.
package preview
