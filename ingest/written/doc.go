// Package written remembers which records were written to the raw topic, by hashes of their keys and contents, so that
// a record that is fetched again is written again only if it has changed.
//
// What it remembers is a [Log] of segments in the state topic, beside the cursor of the slice and committed with it.
package written
