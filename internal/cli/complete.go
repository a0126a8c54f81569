package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/pipeline/file"
)

// CompleteFile completes pipeline files.
func CompleteFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// CompleteStream completes FILE, and then the name of one of its streams.
func CompleteStream(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return CompleteFile(cmd, args, typed)
	}
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	got, err := file.Inspect(args[0], true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, s := range got.Pipeline.Streams {
		if strings.HasPrefix(s.Name, typed) {
			names = append(names, s.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
