// Package ingest fetches the records of HTTP APIs into raw topics.
//
// It reads pages (one HTTP answer each) and writes raw records, dead letters for records that it cannot take, and its
// position: one cursor per slice, in the compacted state topic. Records and the cursor after them are committed in one
// Kafka transaction, so a reader of committed records sees each accepted page once. A page is received whole, and
// checked to its last byte, before its transaction begins.
//
//	group of the state topic ──► member: which partitions to try
//	  partition ──► owner: claims it (fences the owner before), restores cursors from it
//	    slice ──► goroutine: pages in order, fetched ahead where they can be addressed
//	      page ──► committer: transactions of whole pages and cursors
//
// The consumer group decides who tries a partition of the state topic; its transactional id decides who may write. Both
// a slice's cursor and its records are written with that id, so a process that was frozen, or cut off, while another
// took over can commit nothing any more. It then forgets what it knew and joins the group again.
//
// What a crash repeats: the request of pages that were not committed. Nothing of them is visible. A page larger than a
// transaction commits in pieces, each with a hash of the page. After a crash between them it is fetched again, and goes
// on where it was if the hash is the same; else it begins again, and only records that changed are written again.
//
// since is frozen during a pass and moves at its end. Unchanged records that come again (look-back, inclusive cursors,
// passes over everything) are recognised by hashes of what was written last for their key, which are kept in the state
// topic beside the cursor, up to a bound; what is forgotten beyond the bound is written again, which is harmless. Of an
// incremental stream, what the next pass would not ask for if this one ended here is held in memory until the pass
// ends, and not stored: no pass will ask for it again. Where pages are addressed by number or offset and the API's data
// shift during a pass, a record can slip between two pages: the pass that follows finds it, if it changed since the
// start of the one before or lies in the look-back, or if each pass fetches everything.
//
// All processes of a pipeline that run at the same time must run the same streams: they share the state topic's
// partitions without regard to what is in them.
//
// Who knows what: cursor the position in an API; paginate how its pages follow one another; fetch one request; cut the
// records in an answer; written what was written before; internal/changelog how a position is claimed and committed.
package ingest
