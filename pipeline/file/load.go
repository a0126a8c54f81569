package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// maxFileBytes bounds a pipeline file.
const maxFileBytes = 4 << 20

// Load reads a pipeline file. References take the environment of the process. What is wrong with the file is
// reported as [Problems]; any other error says why it cannot be read.
func Load(path string) (*pipeline.Pipeline, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, os.LookupEnv)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// Parse reads the content of a pipeline file. name stands for it in messages, and its directory is what ${file:PATH}
// is relative to. env looks up ${NAME}. The error is of type [Problems] and holds everything that is wrong; no message
// holds a secret, whether it comes from a reference or stands in the file.
func Parse(name string, data []byte, env func(string) (string, bool)) (*pipeline.Pipeline, error) {
	d := &decoder{
		file:  name,
		lines: strings.Split(string(data), "\n"),
		refs:  resolver{env: env, dir: filepath.Dir(name)},
	}
	return d.parse(name, data)
}

func (d *decoder) parse(name string, data []byte) (*pipeline.Pipeline, error) {
	root, problem := parseYAML(data)
	if problem != nil {
		problem.File = name
		if problem.Line > 0 && problem.Line <= len(d.lines) {
			problem.Text = hideAll(d.lines[problem.Line-1])
		}
		return nil, Problems{*problem}
	}
	var file pipelineFile
	d.value(&file, place{node: root})
	fill(reflect.ValueOf(&file).Elem())
	p := d.build(&file)
	d.secrets.into(p)
	d.quoteLines(root, d.problems, d.warnings)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return p, nil
}

// quoteLines gives problems the lines of the file that they are about, without secrets.
func (d *decoder) quoteLines(root *yaml.Node, lists ...Problems) {
	var secrets *masks
	for _, problems := range lists {
		for i := range problems {
			if pr := &problems[i]; pr.Line > 0 && pr.Line <= len(d.lines) {
				if secrets == nil {
					found := findMasks(root, d.lines)
					secrets = &found
				}
				pr.Text = secrets.hide(pr.Line, strings.TrimRight(d.lines[pr.Line-1], "\r"))
			}
		}
	}
}

// parseYAML returns the node at the top of the only document.
func parseYAML(data []byte) (*yaml.Node, *Problem) {
	if len(data) > maxFileBytes {
		return nil, &Problem{Message: fmt.Sprintf("is larger than %d MiB", maxFileBytes>>20)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Problem{Message: "is empty", Hint: "it needs at least pipeline and streams"}
		}
		return nil, syntaxProblem(err, data)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Problem{Line: second.Line, Column: second.Column, Message: "a second document begins here", Hint: "a pipeline file holds one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(err, data)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, &Problem{Message: "is empty", Hint: "it needs at least pipeline and streams"}
	}
	return follow(doc.Content[0]), nil
}

var (
	yamlLine          = regexp.MustCompile(`^line (\d+): `)
	unquotedReference = regexp.MustCompile(`[{\[].*[:,\[ ][^"',]*\$\{`)
)

// aliasLine is a line with an alias for a value.
var aliasLine = regexp.MustCompile(`[:\[,{-]\s+\*\S`)

// syntaxHints say of messages of the parser what is mostly behind them.
var syntaxHints = map[string]string{
	"did not find expected ',' or '}'":                       "a { is not closed, or a text between { } needs quotes",
	"did not find expected ',' or ']'":                       "a [ is not closed, or a text between [ ] needs quotes",
	"mapping values are not allowed in this context":         `a text with ": " in it needs quotes; else a key is indented too far`,
	"did not find expected key":                              "look at the indentation below this line: keys of one mapping begin in the same column",
	"did not find expected '-' indicator":                    `look at the indentation below this line: each element of a list begins with "- "`,
	"found unexpected end of stream":                         "a quote is not closed",
	"did not find expected node content":                     "a value is missing",
	"found character that cannot start any token":            "a text that begins with @ or ` needs quotes",
	"block sequence entries are not allowed in this context": "a list begins on the line below its key",
}

// tab finds a tab in the indentation of a line, or of one of the two behind it: the parser's count may be that far off.
// A column of 0 says that there is none. Lines and columns count from 1.
func tab(lines []string, line int) (at, column int) {
	for i := max(line-1, 0); i < min(line+2, len(lines)); i++ {
		indentation := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
		if n := strings.IndexByte(indentation, '\t'); n >= 0 && len(indentation) < len(lines[i]) {
			return i + 1, n + 1
		}
	}
	return 0, 0
}

func syntaxProblem(err error, data []byte) *Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	alias := strings.Contains(message, "unknown anchor")
	if alias { // its name may be a secret that happens to begin with *
		message = strings.Split(message, "unknown anchor")[0] + "an alias (*name) stands for nothing; a text that begins with * needs quotes"
	}
	p := &Problem{Message: "YAML: " + message}
	m := yamlLine.FindStringSubmatch(message)
	if alias && m == nil {
		for i, line := range strings.Split(string(data), "\n") {
			if aliasLine.MatchString(line) {
				p.Line = i + 1
				return p
			}
		}
	}
	if m == nil {
		return p
	}
	p.Line, _ = strconv.Atoi(m[1])
	p.Message = "YAML: " + message[len(m[0]):]
	lines := strings.Split(string(data), "\n")
	if n, column := tab(lines, p.Line-1); column > 0 && (strings.Contains(message, "tab character") || strings.Contains(message, "cannot start any token")) {
		return &Problem{Line: n, Column: column, Message: "YAML: a tab in the indentation", Hint: "indent with spaces"}
	}
	if strings.HasPrefix(p.Message, "YAML: did not find expected") && p.Line < len(lines) {
		p.Line++ // the parser counts from 0 where the scanner counts from 1
	}
	if p.Line <= len(lines) && unquotedReference.MatchString(lines[p.Line-1]) {
		p.Hint = `between { } and [ ], a reference needs quotes: "${NAME}"`
	}
	if p.Hint == "" {
		p.Hint = syntaxHints[strings.TrimPrefix(p.Message, "YAML: ")]
	}
	return p
}
