// Package demo is what `millrace demo` shows of a running pipeline and says at its end: counts of each stage
// read from the metrics, a block that is redrawn on a terminal, plain lines elsewhere, and the report with
// the first rows and the dead letters. The API it runs against is in quakeapi; the wiring is in internal/tool.
package demo
