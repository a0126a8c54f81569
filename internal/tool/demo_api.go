package tool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

// newDemoAPICommand is `millrace demo api`: only the API of the demonstration, for a pipeline that runs elsewhere.
func newDemoAPICommand() *cobra.Command {
	cfg := quakeapi.DefaultConfig()
	var listen string
	var noFaults bool
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Serve the demonstration's API alone: a recorded week of earthquakes, as the USGS serves it",
		Long: `Serve the demonstration's API alone: a recorded week of earthquakes, as the USGS serves it.

  /fdsnws/event/1/query   the events, in pages; see https://earthquake.usgs.gov/fdsnws/event/1/
  /truth                  the newest revision of each event, to compare a mirror with; ?served=true, ?rows=true
  /healthz                200`,
		Example: `  millrace demo api --listen localhost:8080
  curl 'http://localhost:8080/fdsnws/event/1/query?format=geojson&limit=2&minmagnitude=5'`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Faults = !noFaults
			return serveDemoAPI(cmd.Context(), cmd, listen, cfg)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "localhost:8080", "`address` to listen on; :8080 for all interfaces")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", cfg.Seed, "of the revisions and the faults; the same `number` gives the same ones")
	cmd.Flags().BoolVar(&cfg.Follow, "follow", false, "keep publishing new and revised events")
	cmd.Flags().BoolVar(&noFaults, "no-faults", false, "never fail on purpose")
	return cmd
}

// serveDemoAPI serves until ctx is cancelled, then lets requests in hand finish.
func serveDemoAPI(ctx context.Context, cmd *cobra.Command, listen string, cfg quakeapi.Config) error {
	api, err := quakeapi.New(cfg)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("demo api: %w; choose another address with --listen", err)
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1) // one send, so that it never waits
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(drain)
	})
	defer stop()
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "earthquakes at http://%s/fdsnws/event/1/query?format=geojson, seed %d\n", l.Addr(), cfg.Seed)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo api: %w", err)
	}
	return <-stopped
}
