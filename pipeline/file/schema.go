package file

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// SchemaURL is where the schema of the newest version can be had: docs/reference/pipeline.schema.json of the
// repository.
const SchemaURL = "https://raw.githubusercontent.com/millrace-io/millrace/main/docs/reference/pipeline.schema.json"

// Schema is the JSON Schema (draft 2020-12) of the pipeline file, from the same types that the loader reads it with.
// Editors complete and check a file with it; what takes more than one value to see, only the loader finds.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[pipelineFile](), "")
	s.Version = jsonschema.Version
	s.ID = SchemaURL
	s.Title = "millrace pipeline"
	s.Description = "One pipeline of streams: what is fetched from HTTP APIs, what is done to it, and the tables it goes to."
	s.PatternProperties = map[string]*jsonschema.Schema{"^x-": jsonschema.TrueSchema}
	out, err := json.MarshalIndent(s, "", "  ")
	return append(out, '\n'), err
}

// schemaOf is the schema of a field or of a struct of keys.go, with the description and default of its tag.
func schemaOf(t reflect.Type, tag reflect.StructTag) *jsonschema.Schema {
	var s *jsonschema.Schema
	if f, ok := reflect.TypeAssert[field](reflect.New(t)); ok {
		s = f.schema(tag)
	} else {
		s = structSchema(t)
	}
	s.Description = tag.Get("doc")
	if value := tag.Get("default"); value != "" && !strings.Contains(value, "<") {
		s.Default = value
		if n, err := strconv.Atoi(value); err == nil {
			s.Default = n
		} else if b, err := strconv.ParseBool(value); err == nil {
			s.Default = b
		}
	}
	return s
}

func structSchema(t reflect.Type) *jsonschema.Schema {
	fields := fieldsOf(t)
	s := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema, Required: fields.required,
	}
	for _, name := range fields.names {
		f := fields.byName[name]
		s.Properties.Set(name, schemaOf(f.typ, f.tag))
	}
	for _, name := range fields.oneOf {
		s.OneOf = append(s.OneOf, &jsonschema.Schema{Required: []string{name}})
	}
	return s
}

// reference is a text with a reference in it, which may stand for anything.
var reference = &jsonschema.Schema{Type: "string", Pattern: `\$\{`}

func anyOf(s ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{AnyOf: s} }

// scalarSchema is a text however YAML reads it: 2024 is a number, and true a boolean.
func scalarSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Extras: map[string]any{"type": []string{"string", "number", "boolean"}}}
}

func (t *text) schema(tag reflect.StructTag) *jsonschema.Schema {
	if words := strings.Fields(tag.Get("words")); len(words) > 0 {
		e := &jsonschema.Schema{}
		for _, w := range words {
			e.Enum = append(e.Enum, w)
		}
		return anyOf(e, reference)
	}
	if tag.Get("pattern") == "name" {
		n := uint64(maxNameBytes)
		return anyOf(&jsonschema.Schema{Type: "string", Pattern: goodName.String(), MaxLength: &n}, reference)
	}
	s := scalarSchema()
	if tag.Get("empty") != "ok" {
		n := uint64(1)
		s.MinLength = &n
	}
	for e := range strings.FieldsSeq(tag.Get("examples")) {
		s.Examples = append(s.Examples, e)
	}
	return s
}

func (s *secret) schema(tag reflect.StructTag) *jsonschema.Schema { return (&text{}).schema(tag) }

func (i *integer) schema(tag reflect.StructTag) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "integer", Minimum: json.Number(tag.Get("min")), Maximum: json.Number(tag.Get("max"))}, reference)
}

func (f *flag) schema(reflect.StructTag) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "boolean"}, reference)
}

func (v *duration) schema(reflect.StructTag) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string", Pattern: `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$`, Examples: []any{"30s", "1h30m", "7d"}},
		&jsonschema.Schema{Const: json.Number("0")}, reference)
}

func (v *percent) schema(reflect.StructTag) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string", Pattern: `^[0-9]+(\.[0-9]+)? ?%$`, Examples: []any{"10%"}}, reference)
}

func (v *size) schema(reflect.StructTag) *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string", Pattern: `^[0-9]+ ?(B|[kKMG]i?B)?$`, Examples: []any{"8MiB"}},
		&jsonschema.Schema{Type: "integer"}, reference)
}

func (o *object[T]) schema(reflect.StructTag) *jsonschema.Schema {
	return schemaOf(reflect.TypeFor[T](), "")
}

func (c *choice[T]) schema(tag reflect.StructTag) *jsonschema.Schema {
	if tag.Get("words") == "*" {
		tag = ""
	}
	return anyOf((&text{}).schema(tag), schemaOf(reflect.TypeFor[T](), ""))
}

func (m *mapping[T]) schema(tag reflect.StructTag) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", AdditionalProperties: schemaOf(reflect.TypeFor[T](), inner(tag))}
	if tag.Get("names") == "name" {
		n := uint64(maxNameBytes)
		s.PropertyNames = &jsonschema.Schema{Pattern: goodName.String(), MaxLength: &n}
	}
	if n, err := strconv.ParseUint(tag.Get("minItems"), 10, 64); err == nil {
		s.MinProperties = &n
	}
	if n, err := strconv.ParseUint(tag.Get("maxItems"), 10, 64); err == nil {
		s.MaxProperties = &n
	}
	return s
}

func (l *list[T]) schema(reflect.StructTag) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: schemaOf(reflect.TypeFor[T](), "")}
}

func (t *texts) schema(tag reflect.StructTag) *jsonschema.Schema { return oneOrMoreSchema(tag) }

func (s *secrets) schema(tag reflect.StructTag) *jsonschema.Schema { return oneOrMoreSchema(tag) }

func (v *dottedPath) schema(tag reflect.StructTag) *jsonschema.Schema { return v.text.schema(tag) }

func (v *dottedPaths) schema(tag reflect.StructTag) *jsonschema.Schema { return oneOrMoreSchema(tag) }

func oneOrMoreSchema(tag reflect.StructTag) *jsonschema.Schema {
	n := uint64(1)
	one := (&text{}).schema(inner(tag))
	return anyOf(one, &jsonschema.Schema{Type: "array", MinItems: &n, Items: one})
}

// inner is what of a tag holds for the values of a mapping, too.
func inner(tag reflect.StructTag) reflect.StructTag {
	if tag.Get("empty") == "ok" {
		return `empty:"ok"`
	}
	return ""
}
