// Command processor runs that stage of a pipeline file; it is the same as `millrace processor`.
package main

import (
	"os"

	"github.com/millrace-io/millrace/internal/cli"
)

func main() {
	os.Exit(cli.StageMain("processor", "Run the steps over the raw topics, into the processed topics"))
}
