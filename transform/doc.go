// Package transform lets a binary of one's own have steps that are written in Go, for what expressions cannot say:
//
//	func main() {
//		transform.Register("distance", "1", transform.Fields(distance))
//		os.Exit(millrace.Main())
//	}
//
// A pipeline file names it by name and version, before the first map:
//
//	process:
//	  - transform: distance@1
//	  - map: {id: id, km: km}
//
// A transform is given a record and returns what takes its place in the steps after it. It must compute, and nothing
// else: the same record gives the same result, whenever and wherever it runs, since a record is processed again after a
// crash, by a replay, and by `millrace try` and `millrace test`. The raw topic keeps the record as the API sent it.
//
// The version is part of a stream's logic, as the text of an expression is. Who changes what a transform does gives it
// another version, names that in the file, and runs the raw topic through it again: `millrace replay`. Both versions
// may be registered in one binary, and have to be while rows of the older one are wanted back.
package transform
