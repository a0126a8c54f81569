// Package testkit is what tests of all packages need: a wait with a deadline, what runs until its test ends, a buffer
// for logs, a reader of topics, a life that ends at a request to the brokers.
package testkit
