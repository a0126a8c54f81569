// Package sorted sorts more records than memory holds by the keys of their rows.
//
// Records are added to a piece of memory. When that is full it is sorted and written to a temporary file as a run,
// behind the runs before; in the end all runs are merged. The file has no name from the start on, where the system can
// do that, so that a crash leaves nothing. What it holds is not kept: it is made again from the topic.
package sorted
