// Package testworld is what tests of replays, of lines and of swaps need alike: a broker and a database with a pipeline
// of one stream, whose stages run in the test's process; raw records; and what its table must become by a logic,
// whatever happens on the way.
package testworld
