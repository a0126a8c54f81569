// Package cut finds what an answer of an API holds: the records, byte for byte as they were sent, and the few
// fields of the envelope that pagination needs.
//
// The whole answer is checked to be JSON, up to its last byte, before any record of it is handed out. No tree
// is built: the tokenizer (jsontext) finds where each record begins and ends, and [Fields] finds the key and the
// version in the record's bytes, which are known to be JSON by then. Duplicate names and invalid UTF-8 are let
// through, so that one bad record never holds up a stream; whoever processes the record judges it.
package cut
