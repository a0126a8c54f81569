package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline/file"
)

const root = ".."

// link is [text](target) of Markdown.
var link = regexp.MustCompile(`\[([^\[\]]*(?:\[[^\[\]]*\])?[^\[\]]*)\]\(([^()\s]+)\)`)

// Every page that a page names is there, and a Go name that is linked to a file is declared in it: [`Run`](x.go),
// [`Type.Method`](x.go), or in a package: [`Run`](dir/).
func TestLinksHold(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			label, target := m[1], m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "#") {
				continue
			}
			checked++
			target, _, _ = strings.Cut(target, "#")
			path := filepath.Join(filepath.Dir(page), target)
			info, err := os.Stat(path)
			if err != nil {
				t.Errorf("%s: [%s](%s): %v", page, label, target, err)
				continue
			}
			name, isCode := strings.CutPrefix(label, "`")
			name = strings.TrimSuffix(name, "`")
			if !isCode || strings.ContainsAny(name, " /") || !info.IsDir() && !strings.HasSuffix(path, ".go") {
				continue
			}
			if !slices.Contains(declared(t, path, info.IsDir()), name) {
				t.Errorf("%s: %s does not declare %s", page, target, name)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d links found", checked)
	}
}

// Every direct dependency has its line in dependencies.md.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	module := regexp.MustCompile(`(?m)^\s+(\S+\.\S+/\S+) v\S+$`) // indirect ones have a comment
	found := module.FindAllStringSubmatch(string(mod), -1)
	if len(found) < 5 {
		t.Fatalf("only %d direct dependencies found", len(found))
	}
	for _, m := range found {
		// A module of a repository of several is named by its last elements: `/pkg/kadm`.
		path := m[1]
		short := path
		if rest, ok := strings.CutPrefix(path, "github.com/twmb/franz-go"); ok && rest != "" {
			short = "`" + rest + "`"
		}
		if rest, ok := strings.CutPrefix(path, "golang.org/x/"); ok {
			short = "golang.org/x/" + rest
		}
		if rest, ok := strings.CutPrefix(path, "github.com/moby/moby/"); ok {
			short = rest
		}
		if !strings.Contains(string(page), short) {
			t.Errorf("go.mod requires %s, and dependencies.md does not say why", path)
		}
	}
}

// The pipeline that README.md shows is one.
func TestPipelineOfREADMELoads(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	yaml, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md shows no pipeline")
	}
	p, err := file.Parse("README.md", []byte(yaml), func(string) (string, bool) { return "secret", true })
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Streams) != 1 || p.Streams[0].Sink.Table != "orders" {
		t.Errorf("README.md's pipeline has streams %+v", p.Streams)
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	found := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// declared lists the names that a file, or a directory's files without tests, declare: functions, types,
// Type.Method, Type.Field, constants and variables.
func declared(t *testing.T, path string, isDir bool) (names []string) {
	t.Helper()
	files := []string{path}
	if isDir {
		var err error
		if files, err = filepath.Glob(filepath.Join(path, "*.go")); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		if isDir && strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			names = append(names, namesOf(d)...)
		}
	}
	return names
}

func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		return []string{receiver(d.Recv.List[0].Type) + "." + d.Name.Name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
				if st, ok := s.Type.(*ast.StructType); ok {
					for _, f := range st.Fields.List {
						for _, n := range f.Names {
							names = append(names, s.Name.Name+"."+n.Name)
						}
					}
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
