// Package millrace keeps data from HTTP APIs flowing, transformed, into MySQL. It is the whole of the command millrace,
// for a binary of one's own that has more transforms: see package transform.
package millrace

import "github.com/millrace-io/millrace/internal/tool"

// Main runs the command that the arguments of the process name, and returns its exit code: 0 done, or drained after
// SIGTERM or SIGINT; 1 something that needs an operator; 2 a wrong command line or pipeline file. What it has to tell
// goes to stdout and stderr. It is called once, from main, after the transforms have been registered.
func Main() int { return tool.Main() }
