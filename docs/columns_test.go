package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline/file"
)

// arguments are what stands for n, p and s in the reference.
var arguments = strings.NewReplacer("(n)", "(5)", "(p,s)", "(12,2)")

// TestReferenceListsTheColumnTypes: each type of reference/columns.md is one that the loader takes, and each type that
// the loader takes is in the reference.
func TestReferenceListsTheColumnTypes(t *testing.T) {
	page, err := os.ReadFile("reference/columns.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.SplitSeq(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			name, _, _ := strings.Cut(m[1], "(")
			listed = append(listed, name)
			if err := load(arguments.Replace(m[1])); err != nil {
				t.Errorf("reference/columns.md lists %s, and a pipeline with it is refused: %v", m[1], err)
			}
		}
	}
	_, rest, _ := strings.Cut(string(page), "may be `unsigned`. ")
	aliases, _, _ := strings.Cut(rest, "are other words")
	for _, m := range quoted.FindAllStringSubmatch(aliases, -1) {
		if err := load(strings.NewReplacer("numeric", "numeric(12,2)", "dec", "dec(12,2)", "fixed", "fixed(12,2)").Replace(m[1])); err != nil {
			t.Errorf("reference/columns.md has the word %s, and a pipeline with it is refused: %v", m[1], err)
		}
	}
	slices.Sort(listed)
	listed = slices.Compact(listed)
	known := columntype.Names()
	slices.Sort(known)
	if !slices.Equal(listed, known) {
		t.Errorf("reference/columns.md lists the types %v\nthe loader takes %v", listed, known)
	}
}

// TestReferenceSaysWhatTypesCanBe: the loader takes "unsigned" behind the whole numbers of reference/columns.md and
// behind no other type, and as keys all types but those of which the page says that they cannot be.
func TestReferenceSaysWhatTypesCanBe(t *testing.T) {
	page, err := os.ReadFile("reference/columns.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"Whole numbers may be `unsigned`.", "`double`, `float`, `json`, the texts and the blobs cannot be key columns."} {
		if !strings.Contains(string(page), says) {
			t.Errorf("reference/columns.md does not say: %s", says)
		}
	}
	whole := []string{"bigint", "int", "mediumint", "smallint", "tinyint"}
	spelled := map[string]string{"decimal": "decimal(12,2)", "varchar": "varchar(5)", "char": "char(5)", "varbinary": "varbinary(5)"}
	for _, name := range columntype.Names() {
		column := name
		if with, ok := spelled[name]; ok {
			column = with
		}
		if err := load(column + " unsigned"); (err == nil) != slices.Contains(whole, name) {
			t.Errorf("%s unsigned: %v", column, err)
		}
		noKey := slices.Contains([]string{"double", "float", "json"}, name) || strings.HasSuffix(name, "text") || strings.HasSuffix(name, "blob")
		if err := parse("{id: '" + column + " key'}"); (err != nil) != noKey {
			t.Errorf("%s as key: %v", column, err)
		}
	}
}

// load is the loader's error of a column of that type.
func load(columnType string) error { return parse("{id: bigint key, c: '" + columnType + "'}") }

// parse is the loader's error of a stream with these columns.
func parse(columns string) error {
	_, err := file.Parse("p.yaml", []byte("pipeline: p\nhttp: {base_url: 'http://h'}\nstreams: {s: {ingest: {path: /a, key: id}, sink: {columns: "+
		columns+"}}}\n"), os.LookupEnv)
	return err
}
