// Package auth is the credentials of an API: each kind puts its own into requests, takes them off what leaves for
// another host or is kept, and says which of its texts are secret.
//
// A kind is a file with a type behind [Kind], and a line in [For].
package auth
