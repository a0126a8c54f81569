// Command sink runs that stage of a pipeline file; it is the same as `millrace sink`.
package main

import (
	"os"

	"github.com/millrace-io/millrace/internal/cli"
)

func main() { os.Exit(cli.StageMain("sink", "Write the processed topics to MySQL")) }
