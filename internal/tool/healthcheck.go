package tool

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
)

// newHealthcheckCommand is `millrace healthcheck`: images without a shell have no other way to ask.
func newHealthcheckCommand() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running process whether it is ready; exit code 0 if so",
		Example: `  millrace healthcheck
  millrace healthcheck --url http://localhost:9464/healthz`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return askHealth(cmd, url) },
	}
	cmd.Flags().StringVar(&url, "url", "http://localhost:9464/readyz", "`URL` to ask")
	return cmd
}

func askHealth(cmd *cobra.Command, url string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &cli.UsageError{Err: fmt.Errorf("--url: %w", err)}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, answer.Status, strings.TrimSpace(string(body)))
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "ready")
	return err
}
