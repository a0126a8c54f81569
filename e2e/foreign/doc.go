// Package foreign runs pipelines over servers that have nothing to do with this repository, installed from their
// packages, as a new user would: init, preview, record, test, run. What is in the tables is compared with the server's
// own database, value by value, with revisions and deletions under way.
//
// A test installs its server, once, into the user's cache directory, and is skipped with a line where that cannot be
// done.
package foreign
