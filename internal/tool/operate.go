package tool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// operation is what a command needs that decides about streams of a pipeline. It must be closed.
type operation struct {
	*pipeline.Pipeline

	file    string
	streams []*pipeline.Stream // that the command names
	opts    []kgo.Opt          // how to reach the brokers
	client  *kgo.Client
	control control.Config
	servers *embedded.Servers
}

// brokersTimeout bounds what the brokers may take until they have answered for the first time.
const brokersTimeout = 20 * time.Second

// operate reaches the brokers of a pipeline file, also where a running process has them embedded. A pipeline that never
// ran has no control topic, which is an error.
func operate(ctx context.Context, path string, streams []string) (_ *operation, err error) {
	p, err := cli.LoadPipeline(path)
	if err != nil {
		return nil, err
	}
	chosen, err := p.Choose(streams)
	if err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	log := slog.New(slog.DiscardHandler)
	servers, err := embedded.Attach(ctx, p, log)
	if err != nil {
		return nil, err
	}
	o := &operation{Pipeline: p, file: path, streams: chosen, servers: servers}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	if o.opts, err = kafka.Opts(p.Kafka, "millrace-"+p.Name+"-command", log, nil); err != nil {
		return nil, err
	}
	if o.client, err = kgo.NewClient(o.opts...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, brokersTimeout)
	defer cancel()
	topic := topics.Control(p.Name)
	found, err := kadm.NewClient(o.client).ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("kafka %s: %w", strings.Join(p.Kafka.Brokers, ","), err)
	}
	if !found.Has(topic) {
		return nil, fmt.Errorf("topic %s is not there: the pipeline has not run yet, or under another name", topic)
	}
	o.control = control.Config{Pipeline: p.Name, Who: who(), Client: o.opts}
	return o, nil
}

// streamsOf are the streams that a command's arguments name after the file; nil: all.
func streamsOf(args []string) []string {
	if len(args) > 1 {
		return args[1:]
	}
	return nil
}

func (o *operation) close() {
	if o.client != nil {
		o.client.Close()
	}
	_ = o.servers.Close()
}

// decided reads what is decided about the streams.
func (o *operation) decided(ctx context.Context) (*control.View, error) {
	ctx, cancel := context.WithTimeout(ctx, brokersTimeout)
	defer cancel()
	v := control.NewView(o.control)
	defer v.Close()
	_, err := v.Refresh(ctx)
	return v, err
}

// who is who runs the command, for people.
func who() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

var errNotAsked = errors.New("nothing was done: this is not a terminal to ask on; --yes answers")

var errNo = errors.New("nothing was done")

// confirm asks on the terminal whether to go on. yes is the answer given beforehand.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errNotAsked
	}
	return ask(in, cmd.ErrOrStderr(), question)
}

func ask(in io.Reader, out io.Writer, question string) error {
	_, _ = fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errNo
}
