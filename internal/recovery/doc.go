// Package recovery puts the positions of a stream right after something was lost: the offsets of a consumer group,
// records of a topic that retention took before they were written, the end of Kafka's logs after a restore from a
// backup.
//
//	[Look]          compares what the topics hold, what the processors' group has committed, what is decided in the
//	                control topic, and how far the table has come. It changes nothing.
//	[State.Repair]  moves positions, by declaration and never by writing into a group: first so that everything that
//	                may be missing comes again, then so that the sinks read on. A death between any two steps is cured
//	                by doing it again.
//
// What comes twice has the version that it had, and changes nothing.
package recovery
