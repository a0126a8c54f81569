// Package topics is what the stages agree on: names of topics, groups and transactional ids, the
// format of raw, processed and dead-letter records, the partition of a key, and the topics' settings.
//
// The raw key is the record's key at the API; the processed key is the raw key and the processed
// partition is the raw partition, by number. So a key has one path, and one writer, all the way to
// its rows.
package topics
