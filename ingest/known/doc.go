// Package known remembers which keys of a slice are there: those that were written to the raw topic and are not
// deleted.
//
// A complete read of the slice marks the keys that the API shows. What it does not mark is gone, if it is known that
// nothing can have slipped through: see [Keys.Judge]. Of each key, memory holds a hash and what the newest record said
// of its revision; the text of the key is in the state topic alone, one record for each key, and is read back when it
// is needed for a tombstone. Two keys with one hash do no harm: neither is deleted while one of them is there.
package known
