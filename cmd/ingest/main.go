// Command ingest runs that stage of a pipeline file; it is the same as `millrace ingest`.
package main

import (
	"os"

	"github.com/millrace-io/millrace/internal/cli"
)

func main() { os.Exit(cli.StageMain("ingest", "Fetch from HTTP APIs into the raw topics")) }
