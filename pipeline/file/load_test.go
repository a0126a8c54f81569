package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline/file"
)

func TestLoad(t *testing.T) {
	t.Setenv("MYSQL_PASSWORD", "a")
	t.Setenv("SHOP_TOKEN", "${NOT_A_REFERENCE} \": [")
	p, err := file.Load("testdata/good/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// What a reference stands for is taken as it is: neither YAML nor a reference again.
	if got := p.Stream("orders").Ingest.HTTP.Auth.Bearer.Reveal(); got != os.Getenv("SHOP_TOKEN") {
		t.Errorf("token %q", got)
	}
	if p.Stream("customers") != nil {
		t.Error("there is a stream customers")
	}
	if keys := p.Streams[0].Sink.KeyColumns(); len(keys) != 1 || keys[0].Name != "order_id" {
		t.Errorf("key columns %v", keys)
	}
}

// TestTabs: whichever line has a tab in its indentation, it is the one that is named, and as that.
func TestTabs(t *testing.T) {
	text, err := os.ReadFile("testdata/good/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines, tried := strings.Split(string(text), "\n"), 0
	for i, line := range lines {
		bare := strings.TrimLeft(line, " ")
		n := len(line) - len(bare)
		if n == 0 || bare == "" || bare[0] == '#' {
			continue
		}
		for _, indentation := range []string{strings.Repeat("\t", max(1, n/2)), line[:n-1] + "\t", line[:n] + "\t", "\t" + line[:n]} {
			changed := slices.Clone(lines)
			changed[i] = indentation + bare
			_, err := file.Parse("shop.yaml", []byte(strings.Join(changed, "\n")), func(string) (string, bool) { return "x", true })
			problems, ok := errors.AsType[file.Problems](err)
			if err == nil {
				continue // between spaces and a value YAML takes it
			}
			if tried++; !ok || problems[0].Line != i+1 || !strings.Contains(problems[0].Message, "a tab in the indentation") {
				t.Errorf("line %d, %q: %v", i+1, changed[i], err)
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d places tried", tried)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	if _, err := file.Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	var problems file.Problems
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("# much\n", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Load(large); !errors.As(err, &problems) || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("a large file: %v", err)
	}
}

// Docker and Kubernetes give secrets as files; a path is relative to the pipeline file, whatever the working directory.
func TestFileReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absolute := write("absolute", "ab")
	write("relative", "\n rel \n")
	write("large", strings.Repeat("x", 1<<20+1))
	given := func(ref string) string {
		return write("p.yaml", "pipeline: p\nhttp: {base_url: 'http://h', auth: {bearer: '"+ref+"'}}\n"+
			"streams: {s: {ingest: {path: /a, key: id}, sink: {columns: {id: bigint key}}}}\n")
	}
	p, err := file.Load(given("<${file:relative}|${file:" + absolute + "}>"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Streams[0].Ingest.HTTP.Auth.Bearer.Reveal(); got != "<rel|ab>" {
		t.Errorf("bearer %q", got)
	}
	for ref, want := range map[string]string{
		"${file:none}": "no such file", "${file:.}": "not a regular file", "${file:large}": "larger than", "${file:/dev/zero}": "not a regular file",
	} {
		if _, err := file.Load(given(ref)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ref, err, want)
		}
	}
}
