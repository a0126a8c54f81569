package tool

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// given takes the credentials of --auth, which are written into the file as they are given: with references, never with
// secrets.
func (c *credentials) given(f *initFlags, h *pipeline.HTTP) error {
	if f.bearer != "" {
		return errors.New("--auth and --bearer exclude each other")
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(f.auth), &n); err != nil || len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode {
		return errors.New(`--auth is no YAML mapping; want http.auth of the pipeline file: '{basic: {username: me, password: "${PASSWORD}"}}'`)
	}
	flow(n.Content[0])
	text, err := yaml.Marshal(n.Content[0])
	if err != nil {
		return err
	}
	c.Auth = strings.Join(strings.Fields(string(text)), " ")
	got, err := file.InspectBytes("--auth", []byte("pipeline: x\nhttp: {base_url: https://x.test, auth: "+c.Auth+"}\n"+
		"streams: {x: {ingest: {path: /, key: id}, sink: {columns: {id: int key}}}}\n"), os.LookupEnv, true)
	if err != nil {
		return err
	}
	for _, s := range got.Pipeline.Secrets {
		if s.Name == "" && s.Value != "" && strings.Contains(c.Auth, s.Value.Reveal()) {
			return errors.New("--auth has a secret in clear text, and it would be written into the file: give it as ${NAME}")
		}
	}
	for _, m := range referenceName.FindAllStringSubmatch(c.Auth, -1) {
		if _, set := os.LookupEnv(m[1]); !set {
			return fmt.Errorf("--auth refers to ${%s}, and the environment has no variable %s", m[1], m[1])
		}
		c.Needs = append(c.Needs, m[1])
	}
	h.Auth = got.Pipeline.Streams[0].Ingest.HTTP.Auth
	return nil
}

// flow has a node written on one line.
func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, x := range n.Content {
		if x.Kind != yaml.ScalarNode {
			flow(x)
		}
	}
}
