package file_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline/file"
)

// FuzzParse feeds anything to the loader. It must not panic, a refusal must be well formed and show nothing of what
// references stand for, and what it takes once it takes again in the same way.
func FuzzParse(f *testing.F) {
	for _, path := range append(glob(f, "testdata/good/*.yaml"), glob(f, "testdata/bad/*.yaml")...) {
		f.Add(read(f, path))
	}
	f.Fuzz(check)
}

// FuzzParseMutants takes good files apart and puts them together wrongly, for what bytes at random rarely reach.
func FuzzParseMutants(f *testing.F) {
	var files []*yaml.Node
	for i, path := range glob(f, "testdata/good/*.yaml") {
		var n yaml.Node
		if err := yaml.Unmarshal(read(f, path), &n); err != nil {
			f.Fatal(err)
		}
		files = append(files, &n)
		for seed := range uint64(100) {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which int, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := clone(files[uint(which)%uint(len(files))])
		for range 1 + r.IntN(3) {
			mutate(r, n)
		}
		data, err := yaml.Marshal(n)
		if err != nil {
			t.Skip(err)
		}
		check(t, data)
	})
}

// clone copies a document, with aliases written out.
func clone(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor = ""
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, clone(child))
	}
	return &c
}

var oddities = []string{"", "~", "-1", "0", "99999999999999999999", "1e3", "a.b", "${XX}", "${X}", "$${", "${", "{}", "[]", "none", "key", "bigint key", "embedded",
	"text key", "varchar(99999)", "decimal(1,2)", "id", "$env", "a +", "1d", "-1s", "1h", "http://x", "http://u:p@x?y=z", "\x00", "ö", "<<", "_mr_x", "millrace_x"}

// mutate changes one value or key somewhere: another text, another node of the file, once more, or not at all.
func mutate(r *rand.Rand, root *yaml.Node) {
	var all []*yaml.Node
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		all = append(all, n)
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(root)
	n := all[1+r.IntN(len(all)-1)]
	switch r.IntN(4) {
	case 0:
		*n = yaml.Node{Kind: yaml.ScalarNode, Value: oddities[r.IntN(len(oddities))]}
	case 1:
		*n = *clone(all[1+r.IntN(len(all)-1)])
	case 2:
		if len(n.Content) > 1 {
			i := r.IntN(len(n.Content)/2) * 2
			n.Content = append(n.Content, clone(n.Content[i]), clone(n.Content[i+1]))
		}
	case 3:
		if len(n.Content) > 1 {
			i := r.IntN(len(n.Content)/2) * 2
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
		}
	}
}

const secret = "Xq7Zu3!"

func check(t *testing.T, data []byte) {
	t.Helper()
	lookup := func(name string) (string, bool) { return secret, len(name)%2 == 0 }
	if strings.Contains(string(data), "file:") && strings.Contains(string(data), "/") || strings.Contains(string(data), secret) {
		data = []byte(strings.ReplaceAll(strings.ReplaceAll(string(data), "file:", "file"), secret, ""))
	}
	p, err := file.Parse("f.yaml", data, lookup)
	if err != nil {
		checkProblems(t, err)
		return
	}
	again, err := file.Parse("f.yaml", data, lookup)
	if err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("parsed again: %+v, %v", again, err)
	}
	if len(p.Streams) == 0 || p.Kafka.Partitions < 1 || strings.Contains(fmt.Sprintf("%+v", p.Database), secret) {
		t.Errorf("accepted: %+v", p)
	}
	for _, s := range p.Streams {
		if s.Name == "" || s.Sink.Table == "" || len(s.Sink.KeyColumns()) == 0 || len(s.Ingest.Key) == 0 || s.Ingest.HTTP.BaseURL == "" ||
			s.Ingest.Concurrency < 1 || s.Ingest.HTTP.Timeout <= 0 {
			t.Errorf("accepted: %+v", s)
		}
		for _, step := range s.Process {
			if (step.Filter == nil) == (step.Map == nil) {
				t.Errorf("step %+v of %s", step, s.Name)
			}
		}
		for _, c := range s.Sink.Columns {
			if c.Name == "" || c.Type == "" {
				t.Errorf("column %+v of %s", c, s.Name)
			}
		}
	}
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	var problems file.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("error %T: %v", err, err)
	}
	for _, pr := range problems {
		if pr.Message == "" || pr.File != "f.yaml" || pr.Line < 0 || pr.Column < 0 {
			t.Errorf("problem %+v", pr)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("shows what a reference stands for: %v", err)
	}
}
