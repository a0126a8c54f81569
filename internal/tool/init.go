package tool

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/probe"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// initFlags are those of `millrace init`.
type initFlags struct {
	out      string
	yes      bool
	headers  []string
	bearer   string
	auth     string
	pipeline string
	stream   string
	pick     string
	recorded bool
}

const aboutInit = `Ask an API a few times, and write a pipeline file that fetches it: where the records are, their key, how the pages follow
one another, the field and the parameter for what has changed, and the columns with MySQL types.

URL is the first page of a resource, with whatever parameters it needs; or a whole curl command line, in quotes, of which
URL and headers are taken. It may be that of an OpenAPI document, JSON or YAML, or FILE one: then there are its resources to choose from,
on a terminal with the arrow keys, else with --pick. FILE may also be an HTTP Archive (HAR), as the network tab of a browser saves
it: of a request in it URL and headers are taken; with --recorded the API is not asked, and only the recorded answers are looked at.

What an answer showed is noted in a comment; what none could show is marked GUESS and worth a look. The file validates, and
` + "`millrace run FILE --once`" + ` fetches all of it.

Secrets are never written into the file: a reference such as --bearer '${TOKEN}' is kept as it is and read from the
environment, and in the place of a secret in clear text stands a reference that the file then needs.`

// newInitCommand is `millrace init`.
func newInitCommand() *cobra.Command {
	f := &initFlags{}
	cmd := &cobra.Command{
		Use:   "init URL|FILE",
		Short: "Ask an API a few times, and write a pipeline file that fetches it",
		Long:  aboutInit,
		Example: `  millrace init 'https://api.example.com/v2/orders?limit=100' -o shop.yaml
  millrace init https://api.example.com/v2/orders --bearer '${SHOP_TOKEN}' -o shop.yaml --yes
  millrace init https://api.example.com/v2/orders --auth '{basic: {username: me, password: "${SHOP_TOKEN}"}}' -o shop.yaml
  millrace init https://api.example.com/v2/orders -H 'X-Api-Key: ${SHOP_KEY}' -o shop.yaml
  millrace init "curl https://api.example.com/v2/orders -H 'Accept: application/json'" -o shop.yaml
  millrace init https://api.example.com/v2/openapi.yaml --pick /orders -o shop.yaml
  millrace init session.har --pick /v2/orders -o shop.yaml
  millrace init https://api.example.com/v2/orders -o -                  # to look at`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *initFlags) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&f.out, "output", "o", "", "`file` to write; - is stdout (default PIPELINE.yaml)")
	flags.BoolVarP(&f.yes, "yes", "y", false, "write without asking, over a file that is there, too")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "send this `header`, as in 'X-Api-Key: ${KEY}'; may be repeated")
	flags.StringVar(&f.bearer, "bearer", "", "send this `token` as Authorization: Bearer, as in '${TOKEN}'")
	flags.StringVar(&f.auth, "auth", "", "prove who asks as this `YAML` says, which is http.auth of the pipeline file: '{basic: {username: me, password: \"${PASSWORD}\"}}', or a login")
	flags.StringVar(&f.pipeline, "pipeline", "", "`name` of the pipeline (default from the host)")
	flags.StringVar(&f.pick, "pick", "", "of the resources of an OpenAPI document or an HTTP Archive take the one with this `text` in its URL")
	flags.BoolVar(&f.recorded, "recorded", false, "of an HTTP Archive: look at its answers alone, and do not ask the API")
	flags.StringVar(&f.stream, "stream", "", "`name` of the stream (default from the path)")
}

func (f *initFlags) run(cmd *cobra.Command, address string) error {
	from, err := f.source(cmd, address)
	if err != nil {
		return err
	}
	f.headers = append(f.headers, from.headers...)
	err = f.ask(cmd, from)
	described, is := errors.AsType[*probe.DocumentError](err)
	if !is {
		return err
	}
	if from.address, err = f.resource(cmd, described); err != nil {
		return err
	}
	return f.ask(cmd, from)
}

// ask asks an API, and writes the file. The error is a *[probe.DocumentError] where it answers with a description.
func (f *initFlags) ask(cmd *cobra.Command, from *source) error {
	u, err := url.Parse(from.address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return &cli.UsageError{Err: errors.New("URL is not an absolute http or https URL, as in https://api.example.com/v2/orders")}
	}
	c := &credentials{Given: probe.Given{Schema: file.SchemaURL}}
	h, err := c.extract(u, f)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	stderr := cmd.ErrOrStderr()
	found, err := probe.Run(cmd.Context(), probe.Options{
		URL: u, HTTP: h, Name: f.stream, Pipeline: f.pipeline, Transport: from.transport, Whole: h.Auth.Login != nil,
		Tell: func(a probe.Asked) { _, _ = fmt.Fprintf(stderr, "%3s %s  (%s)\n", statusText(a.Status), a.URL, a.Why) },
	})
	if err != nil {
		return err
	}
	return f.write(cmd, u, found, c)
}

// write writes the file for what was found at u.
func (f *initFlags) write(cmd *cobra.Command, u *url.URL, found *probe.Finding, c *credentials) error {
	out := f.out
	if out == "" {
		out = found.Pipeline + ".yaml"
	}
	shown := *u
	shown.RawQuery = ""
	text := found.File(shown.String(), filepath.Base(out), c.Given)
	got, err := file.InspectBytes(out, text, os.LookupEnv, true)
	if err != nil {
		return fmt.Errorf("what was found makes no pipeline file; this is a mistake in millrace: %w", err)
	}
	if out == "-" {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	if err := f.mayWrite(cmd, out, found); err != nil {
		return err
	}
	if err := os.WriteFile(out, text, 0o600); err != nil {
		return err
	}
	report(cmd.OutOrStdout(), out, found, got, c)
	return nil
}

func statusText(n int) string {
	if n == 0 {
		return "---"
	}
	return fmt.Sprint(n)
}

// mayWrite asks on a terminal, and else refuses to write over a file without --yes.
func (f *initFlags) mayWrite(cmd *cobra.Command, out string, found *probe.Finding) error {
	_, err := os.Stat(out)
	there := err == nil
	if f.yes {
		return nil
	}
	if !f.interactive(cmd) {
		if there {
			return &cli.UsageError{Err: fmt.Errorf("%s is there already; --yes writes over it", out)}
		}
		return nil
	}
	summary(cmd.ErrOrStderr(), found)
	question := "Write " + out + "?"
	if there {
		question = out + " is there already. Write over it?"
	}
	yes, err := confirmed(cmd, question, !there)
	if err == nil && !yes {
		err = &cli.UsageError{Err: errors.New("nothing was written")}
	}
	return err
}

func summary(out io.Writer, found *probe.Finding) {
	for _, fact := range found.Facts() {
		if strings.HasPrefix(fact.Name, "column ") && fact.Guess == "" {
			continue
		}
		value := fact.Value
		if value == "" {
			value = "-"
		}
		if fact.Guess != "" {
			value += "   GUESS: " + fact.Guess
		}
		_, _ = fmt.Fprintf(out, "%-12s %s\n", fact.Name, value)
	}
}

func report(out io.Writer, name string, found *probe.Finding, got *file.Inspection, c *credentials) {
	summary(out, found)
	s := got.Pipeline.Streams[0]
	_, _ = fmt.Fprintf(out, "\n%s: %s, from %s\n", name, count(len(s.Sink.Columns), "column"), count(found.Records, "record"))
	for _, replaced := range c.replaced {
		_, _ = fmt.Fprintf(out, "%s is not in the file; it needs: export %s=...\n", replaced[0], replaced[1])
	}
	_, _ = fmt.Fprintf(out, "next: millrace preview %s %s\n", name, s.Name)
}

// credentials are what a request proves with who sends it, and how the file refers to it.
type credentials struct {
	probe.Given

	replaced [][2]string // what stood in clear text, and the variable that takes its place
}

var referenceName = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// extract reads flags and URL, from which it removes credentials.
func (c *credentials) extract(u *url.URL, f *initFlags) (pipeline.HTTP, error) {
	h := pipeline.HTTP{Headers: map[string]pipeline.Secret{}}
	if f.auth != "" {
		if err := c.given(f, &h); err != nil {
			return h, err
		}
	}
	if f.bearer != "" {
		text, err := c.reference("--bearer", f.bearer, "TOKEN")
		if err != nil {
			return h, err
		}
		h.Auth.Bearer = pipeline.Secret(text.value)
		c.Auth = fmt.Sprintf("{bearer: %q}", text.written)
	}
	for _, line := range f.headers {
		if err := c.header(line, &h); err != nil {
			return h, err
		}
	}
	if u.User != nil {
		return h, errors.New("the URL holds credentials: send them with --bearer or -H")
	}
	return h, c.param(u, &h)
}

// header reads a header, as in X-Api-Key: ${KEY}.
func (c *credentials) header(line string, h *pipeline.HTTP) error {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return fmt.Errorf("-H %q is no header; write it as in 'X-Api-Key: ${KEY}'", name)
	}
	if token, is := strings.CutPrefix(value, "Bearer "); is && strings.EqualFold(name, "Authorization") && c.Auth == "" {
		text, err := c.reference("the token", token, "TOKEN")
		if err != nil {
			return err
		}
		h.Auth.Bearer, c.Auth = pipeline.Secret(text.value), fmt.Sprintf("{bearer: %q}", text.written)
		return nil
	}
	text := reference{value, value}
	if !pipeline.PlainHeader(name) {
		var err error
		variable := strings.ToUpper(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "_"))
		if text, err = c.reference("the header "+name, value, variable); err != nil {
			return err
		}
	}
	h.Headers[name] = pipeline.Secret(text.value)
	c.Headers = append(c.Headers, [2]string{name, text.written})
	return nil
}

// keyParams are parameters that hold a key.
var keyParams = []string{"api_key", "apikey", "api-key", "access_token", "token", "key", "auth_token", "appid", "app_id", "client_secret"}

// param takes a key out of the URL.
func (c *credentials) param(u *url.URL, h *pipeline.HTTP) error {
	query := u.Query()
	for name := range query {
		value := query.Get(name)
		if !slices.Contains(keyParams, strings.ToLower(name)) || c.Auth != "" || len(value) < 8 && !strings.Contains(value, "${") {
			continue
		}
		text, err := c.reference("the parameter "+name, value, "API_KEY")
		if err != nil {
			return err
		}
		h.Auth.APIKey = &pipeline.APIKey{Param: name, Value: pipeline.Secret(text.value)}
		c.Auth = fmt.Sprintf("{api_key: {param: %s, value: %q}}", name, text.written)
		query.Del(name)
		u.RawQuery = query.Encode()
	}
	return nil
}

type reference struct{ written, value string }

// reference resolves a value with references. One without any is a secret in clear text: a reference takes its place.
func (c *credentials) reference(what, text, variable string) (reference, error) {
	names := referenceName.FindAllStringSubmatch(text, -1)
	if len(names) == 0 {
		c.replaced = append(c.replaced, [2]string{what, variable})
		c.Needs = append(c.Needs, variable)
		return reference{"${" + variable + "}", text}, nil
	}
	value := text
	for _, m := range names {
		got, ok := os.LookupEnv(m[1])
		if !ok {
			return reference{}, fmt.Errorf("%s refers to ${%s}, and the environment has no variable %s", what, m[1], m[1])
		}
		value = strings.ReplaceAll(value, m[0], got)
		c.Needs = append(c.Needs, m[1])
	}
	return reference{text, value}, nil
}
