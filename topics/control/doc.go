// Package control is what is decided about the streams of a pipeline while it runs: which logic is live, which epoch a
// raw topic has, where positions were declared, which redo is under way, and what is paused. The decisions are in the
// pipeline's control topic, one compacted record for each stream.
//
// [Change] decides. Whoever decides takes the topic over first, as the owner of a partition of ingest's state does: it
// fences who decided before, then reads all that was committed, and only then writes. So of two that decide at the same
// time one sees what the other has decided. [View] reads, and aborts what somebody left open who died.
package control
