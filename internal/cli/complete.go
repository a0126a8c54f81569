package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/pipeline/file"
)

// Complete gives every command at and below c what completes its arguments, as its use line says them, and those of its
// flags that name streams or stages. Commands that have their own keep it.
func Complete(c *cobra.Command) {
	for _, sub := range c.Commands() {
		Complete(sub)
	}
	words := strings.Fields(c.Use)
	if c.ValidArgsFunction == nil && c.Runnable() {
		switch file := slices.Contains(words, "FILE"); {
		case file && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "STREAM...") }):
			c.ValidArgsFunction = CompleteStreams
		case file && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "STREAM") }):
			c.ValidArgsFunction = CompleteStream
		case file:
			c.ValidArgsFunction = CompleteFile
		default:
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	for _, name := range []string{"streams", "adopt"} {
		if c.Flags().Lookup(name) != nil {
			_ = c.RegisterFlagCompletionFunc(name, completeList) // it is there
		}
	}
	for name, values := range map[string][]string{
		"stage": {"ingest", "processor", "sink"}, "log-format": {"text", "json", "auto"}, "log-level": {"debug", "info", "warn", "error"},
	} {
		if c.Flags().Lookup(name) != nil {
			_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
}

// CompleteFile completes pipeline files.
func CompleteFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// CompleteStream completes FILE, and then the name of one of its streams.
func CompleteStream(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return CompleteStreams(cmd, args, typed)
}

// CompleteStreams completes FILE, and then the names of its streams, each once.
func CompleteStreams(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return CompleteFile(cmd, args, typed)
	}
	return streams(args[0], args[1:], typed)
}

// streams are those of a file that begin with typed and are none of but.
func streams(path string, but []string, typed string) (names []string, directive cobra.ShellCompDirective) {
	got, err := file.Inspect(path, true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range got.Pipeline.Streams {
		if name := got.Pipeline.Streams[i].Name; strings.HasPrefix(name, typed) && !slices.Contains(but, name) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeList completes the last of names with commas between them, of the streams of FILE.
func completeList(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	done, last := "", typed
	if i := strings.LastIndexByte(typed, ','); i >= 0 {
		done, last = typed[:i+1], typed[i+1:]
	}
	names, directive := streams(args[0], strings.Split(strings.TrimSuffix(done, ","), ","), last)
	for i := range names {
		names[i] = done + names[i]
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}
