package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Logic returns fingerprints of 32 hexadecimal digits. logic is equal for streams that make the same rows of the same
// raw records, in the same table; key, for streams that also give each raw key the same row. They are of the file's
// text: two ways of writing the same expression differ. The order of streams, maps and columns does not matter, nor
// does how records are fetched, nor the text of a secret.
func (s *Stream) Logic() (logic, key string) {
	hide := newMask(s.Ingest.HTTP.Secrets)
	type column struct{ Name, Type, Rest string }
	type step struct {
		Filter string   `json:",omitempty"`
		Once   bool     `json:",omitempty"`
		Map    []column `json:",omitempty"`
		Go     string   `json:",omitempty"`
	}
	byName := func(a, b column) int { return cmp.Compare(a.Name, b.Name) }
	var steps []step
	for _, x := range s.Process {
		var made step
		if x.Filter != nil {
			made = step{Filter: hide.text(x.Filter.If), Once: x.Filter.Once}
		}
		if x.Transform != nil {
			made.Go = x.Transform.String()
		}
		for _, c := range x.Map {
			made.Map = append(made.Map, column{Name: c.Name, Rest: hide.text(c.Expr)})
		}
		slices.SortFunc(made.Map, byName)
		steps = append(steps, made)
	}
	var columns []column
	for _, c := range s.Sink.Columns {
		columns = append(columns, column{c.Name, c.Type, strconv.FormatBool(c.NotNull || c.Key) + strconv.FormatBool(c.Key)})
	}
	slices.SortFunc(columns, byName)
	return fingerprint([]any{"logic 1", s.Sink.Table, steps, columns, s.keyLogic(hide)}), fingerprint([]any{"key 1", s.Sink.Table, s.keyLogic(hide)})
}

// fingerprint is of the JSON of v.
func fingerprint(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts and lists of them, there is none
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// keyLogic is what decides which row a raw key has: the fields that make the raw key, the key columns, and the
// expressions that these may be made of.
func (s *Stream) keyLogic(hide mask) [][]string {
	lines := [][]string{append([]string{"key"}, s.Ingest.Key...)}
	wanted := []string{"columns"}
	for _, c := range s.Sink.KeyColumns() {
		wanted = append(wanted, c.Name)
	}
	lines = append(lines, wanted)
	for _, step := range slices.Backward(s.Process) {
		if step.Map == nil {
			continue
		}
		var made [][]string
		var named []string
		for _, c := range step.Map {
			if slices.Contains(wanted, c.Name) {
				made = append(made, []string{c.Name, hide.text(c.Expr)})
				named = append(named, words.FindAllString(c.Expr, -1)...)
			}
		}
		slices.SortFunc(made, slices.Compare)
		lines, wanted = append(lines, made...), named
	}
	return lines
}

// words are what may be names in an expression.
var words = regexp.MustCompile(`[\pL_$][\pL\pN_$]*`)

// definition is a logic as it is kept beside a generation, in JSON by the names of the fields.
type definition struct {
	Key     []string
	Process []Step
	Sink    Sink
}

// Definition is the steps of s, its table and what makes its raw keys, as JSON; texts of secrets are references,
// ${NAME}.
func (s *Stream) Definition() string {
	b, err := json.Marshal(definition{s.Ingest.Key, newMask(s.Ingest.HTTP.Secrets).steps(s.Process, mask.text), s.Sink}) //nolint:musttag // see definition
	if err != nil {
		panic(err) // of texts and lists of them, there is none
	}
	return string(b)
}

// Defined returns s with the logic of a [Stream.Definition], whose references are those of s. The error says what is
// not of this version of millrace, or which reference s does not have.
func (s *Stream) Defined(text string) (*Stream, error) {
	var d definition
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()            // a newer version's: its logic cannot be had by leaving something out
	if err := decoder.Decode(&d); err != nil { //nolint:musttag // see definition
		return nil, fmt.Errorf("stream %s: the logic that is live is not of this version of millrace: %w", s.Name, err)
	}
	var missing error
	show := newMask(s.Ingest.HTTP.Secrets)
	out := *s
	out.Ingest.Key, out.Sink = d.Key, d.Sink
	out.Sink.As = s.Sink.As
	out.Process = show.steps(d.Process, func(m mask, hidden string) string {
		text, err := m.expand(hidden)
		missing = cmp.Or(missing, err)
		return text
	})
	if missing != nil {
		return nil, fmt.Errorf("stream %s: the logic that is live: %w", s.Name, missing)
	}
	return &out, nil
}

// mask puts references in the place of secrets. A reference that stands in the file's text is written ${}{NAME}.
type mask struct {
	hide  *strings.Replacer
	texts map[string]string // by name
}

func newMask(secrets []Reference) mask {
	m := mask{texts: map[string]string{}}
	byLength := slices.Clone(secrets)
	for i := range byLength {
		if byLength[i].Name == "" {
			byLength[i].Name = "#" + strconv.Itoa(i)
		}
		m.texts[byLength[i].Name] = byLength[i].Value.Reveal()
	}
	// the replacer prefers those that come first
	slices.SortStableFunc(byLength, func(a, b Reference) int { return len(b.Value) - len(a.Value) })
	var pairs []string
	for _, r := range byLength {
		if r.Value != "" {
			pairs = append(pairs, r.Value.Reveal(), "${"+r.Name+"}")
		}
	}
	m.hide = strings.NewReplacer(append(pairs, "${", "${}{")...)
	return m
}

func (m mask) text(s string) string { return m.hide.Replace(s) }

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand is text backwards.
func (m mask) expand(hidden string) (text string, err error) {
	text = reference.ReplaceAllStringFunc(hidden, func(r string) string {
		name := r[len("${") : len(r)-len("}")]
		value, ok := m.texts[name]
		switch {
		case name == "":
			return "$"
		case !ok:
			err = fmt.Errorf("it refers to ${%s}, which this file does not", name)
		}
		return value
	})
	return text, err
}

// steps returns copies of steps whose expressions went through f.
func (m mask) steps(steps []Step, f func(mask, string) string) []Step {
	out := make([]Step, len(steps))
	for i, s := range steps {
		if s.Filter != nil {
			out[i].Filter = &Filter{f(m, s.Filter.If), s.Filter.Once}
		}
		out[i].Transform = s.Transform
		for _, c := range s.Map {
			out[i].Map = append(out[i].Map, Column{c.Name, f(m, c.Expr)})
		}
	}
	return out
}
