// Package testkit is what tests of all packages need: a wait with a deadline, a buffer for logs, a reader of topics.
package testkit
