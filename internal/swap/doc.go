// Package swap gives the name of a stream's table to the table of another line, while the pipeline runs and the table
// is read, and takes it back. Where a swap stands is in the database (sink.Swapper); the control topic is told
// afterwards, by whoever swapped, or by any sink or command that finds that it was not.
//
//	lock     one connection drives the swap. It ends what a driver has left that died
//	refuse   what would break with the names, each with its remedy
//	wait     until the other line has come as far as the live one, and nobody reads by a view from before it was complete
//	freeze   the live line's table stands still. X: what it has applied
//	B(X)     the other line has applied all below X: the offsets that its processors have committed are at X or above;
//	         then the end of its processed topic is read; then its sinks are at that end. In 30 seconds, or the freeze
//	         is taken back
//	rename   the other line's table stands still, too, and both are renamed
//	finish   one transaction: which line has which table. Both go on
//	tell     the control topic: which line is live
//
// A rollback is a swap to the line that was live before.
package swap
