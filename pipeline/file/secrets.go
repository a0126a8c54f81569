package file

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/pipeline"
)

// secretsOf collects the secrets of a file: what references stand for where it is sent to an API or opens a server, and
// what stands there as a credential in clear text.
type secretsOf struct {
	all []pipeline.Reference
}

// found notes the references of a value that resolves to text.
func (s *secretsOf) found(p place, text string, references []pipeline.Reference) {
	keys := keysOf(p.path)
	literal := len(references) == 0 && !strings.Contains(p.node.Value, "${plain:")
	if len(keys) > 2 && keys[0] == "streams" {
		keys = keys[2:]
	}
	switch {
	case slices.Contains(keys, "base_url"):
		s.baseURL(text, references)
	case keys[0] == "kafka" && slices.Contains(keys, "sasl"):
		s.all = append(s.all, references...)
		if literal && keys[len(keys)-1] == "password" {
			s.add(text)
		}
	case keys[0] == "database":
		s.dsn(text, references)
	case slices.Contains(keys, "auth") || slices.Contains(keys, "headers"):
		s.all = append(s.all, references...)
		if name := keys[len(keys)-1]; literal && !slices.Contains(open, name) &&
			(slices.Contains(keys, "auth") && !ordinary(keys) || slices.Contains(keys, "headers") && !pipeline.PlainHeader(name)) {
			s.add(text)
		}
	case slices.Contains(keys, "verify"):
		s.all = append(s.all, references...)
		if literal && slices.Contains(signing, keys[len(keys)-1]) {
			s.add(text)
		}
	case slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(sent, key) }):
		s.all = append(s.all, references...)
	}
}

// ordinary reports whether a value is one of the many of a login or a token request, and its name is not that of a
// secret.
func ordinary(keys []string) bool {
	named := slices.Contains(keys, "body") || slices.Contains(keys, "params")
	name := strings.ToLower(keys[len(keys)-1])
	return named && !slices.ContainsFunc([]string{"pass", "secret", "token", "key", "pin", "pwd"}, func(part string) bool { return strings.Contains(name, part) })
}

// signing are keys below verify whose values are secrets.
var signing = []string{"github", "stripe", "shopify", "secret"}

// sent are keys whose values are sent to an API.
var sent = []string{"path", "query", "body", "slices", "start", "first"}

// add notes a text that stands in the file.
func (s *secretsOf) add(text string) {
	s.all = append(s.all, pipeline.Reference{Value: pipeline.Secret(text)})
}

// baseURL notes the references of a base URL. Where the API is may be seen, as in every message of the network; its
// path may hold a token.
func (s *secretsOf) baseURL(text string, references []pipeline.Reference) {
	u, err := url.Parse(text)
	if err != nil {
		s.all = append(s.all, references...)
		return
	}
	path := strings.Trim(u.Path, "/")
	for _, r := range references {
		switch value := r.Value.Reveal(); {
		case strings.Contains(path, strings.Trim(value, "/")):
			s.all = append(s.all, r)
		case path != "" && strings.HasSuffix(strings.Trim(value, "/"), path): // the reference holds the host, too
			s.all = append(s.all, pipeline.Reference{Name: r.Name, Value: pipeline.Secret(path)})
		}
	}
}

// dsn notes what is secret of a data source name: user and password, and whatever else a reference gives that is not
// the address or the schema.
func (s *secretsOf) dsn(text string, references []pipeline.Reference) {
	c, err := mysql.ParseDSN(text)
	if err != nil {
		s.all = append(s.all, references...)
		return
	}
	s.add(c.Passwd)
	for _, r := range references {
		if value := r.Value.Reveal(); !strings.Contains(c.Addr, value) && !strings.Contains(c.DBName, value) {
			s.all = append(s.all, r)
		}
	}
}

// into gives the pipeline and its streams what was collected.
func (s *secretsOf) into(p *pipeline.Pipeline) {
	all := []pipeline.Reference{}
	for _, r := range s.all {
		if r.Value != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	p.Secrets = all
	for i := range p.Streams {
		p.Streams[i].Ingest.HTTP.Secrets = all
	}
}
