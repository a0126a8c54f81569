// Command millrace keeps data from HTTP APIs flowing, transformed, into MySQL.
package main

import (
	"os"

	"github.com/millrace-io/millrace"
)

func main() { os.Exit(millrace.Main()) }
