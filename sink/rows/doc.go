// Package rows makes rows of processed records: which columns' values a record has, whether its table can hold them,
// and which records of a batch are the newest of their keys.
//
//	Decoder.Decode   a record → a Change: the row of an upsert, the key of a removal, or why it can never be stored
//	Newest           the changes of a batch → for each table its Share: per key the newest change, in key order
//
// A row is built once, as typed [Values]. How a value is written, as a literal of an INSERT or as a field of LOAD
// DATA, is the business of the database's dialect.
package rows
