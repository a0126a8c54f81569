// Package replay drives a redo of a stream: what was processed before is processed again, by the live logic or by the
// file's, which becomes the live one. Where it stands is in the control topic, so any number of processes may drive the
// same redo, each may die at any moment, and whoever is started again goes on:
//
//	Begin     one decision: the generation of the rows, the range; from now on the redo is in its first state
//	marking   in the database: from now on every removal leaves a mark, and none is pruned. If the logic is another
//	          one, the processors' open transactions are aborted. Then the cut is read: how far live processing has
//	          come by now. What lies above comes by itself, and its removals leave marks. One decision: the cut, and
//	          the next state
//	running   all that take part process [start, cut) again (processor.Redo). When all of it is committed: the next state
//	ending    whoever still processes is fenced. The end of the processed topic is read, and the sinks are waited for
//	          until they have written up to it. If it is a retry the letters of its keys are closed. In the database:
//	          marks are as before. One decision: no redo
//
// An abort goes to ending from wherever the redo is.
package replay
