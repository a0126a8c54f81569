package tool

import (
	"errors"
	"os"

	"charm.land/huh/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/millrace-io/millrace/internal/cli"
)

// interactive reports whether there is a person to ask: a terminal, and no --yes.
func (f *initFlags) interactive(cmd *cobra.Command) bool {
	in, isFile := cmd.InOrStdin().(*os.File)
	return !f.yes && isFile && term.IsTerminal(int(in.Fd()))
}

// promptHeight is how many options are shown at once.
const promptHeight = 12

// selectOne has a person choose, with the arrow keys, or by typing / and a part of the text.
func selectOne(cmd *cobra.Command, question string, options []string) (chosen string, err error) {
	field := huh.NewSelect[string]().Title(question).Options(huh.NewOptions(options...)...).Height(min(len(options)+1, promptHeight)).Value(&chosen)
	return chosen, runForm(cmd, field)
}

// confirmed has a person say yes or no.
func confirmed(cmd *cobra.Command, question string, otherwise bool) (yes bool, err error) {
	yes = otherwise
	return yes, runForm(cmd, huh.NewConfirm().Title(question).Value(&yes))
}

func runForm(cmd *cobra.Command, field huh.Field) error {
	err := huh.NewForm(huh.NewGroup(field)).WithInput(cmd.InOrStdin()).WithOutput(cmd.ErrOrStderr()).WithAccessible(os.Getenv("ACCESSIBLE") != "").RunWithContext(cmd.Context())
	if errors.Is(err, huh.ErrUserAborted) {
		return &cli.UsageError{Err: errors.New("nothing was written")}
	}
	return err
}
