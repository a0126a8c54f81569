// Package convert turns bodies that are no JSON into JSON: CSV into lines of objects, XML into one object. What it
// holds is a row, or an element that is a record.
package convert
