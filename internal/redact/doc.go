// Package redact hides secrets in texts: in every spelling in which an API, a server or a library may give them back.
//
// A secret of [Whole] bytes or more is hidden wherever it stands. A shorter one could be a part of any word, so it is
// hidden only where it is a whole value: between quotes, behind =, as a segment of a path, or as the whole text.
package redact
