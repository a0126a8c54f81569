// Package infer guesses from a sample of records what a table for them looks like: which columns there are, the MySQL
// type of each with room for what the sample does not show, the expression that makes it, and how sure that is.
package infer
