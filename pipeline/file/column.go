package file

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
)

// columnText is the name of a type, its arguments and its attributes.
var columnText = regexp.MustCompile(`^([a-z_0-9]+)\s*(?:\(([^()]*)\))?\s*(.*)$`)

// columnType parses text such as "decimal(12,2) not null" or "bigint unsigned key".
func (d *decoder) columnType(e *entry[text]) pipeline.ColumnType {
	c := pipeline.ColumnType{Name: e.name}
	if !e.v.ok {
		return c
	}
	fail := func(hint, format string, args ...any) pipeline.ColumnType {
		e.v.ok = false
		if e.v.refs { // the message could show what a reference stands for
			hint, format, args = "", "with its references resolved, this is not a type", nil
		}
		d.reportf(e.v.place, hint, format, args...)
		return c
	}
	m := columnText.FindStringSubmatch(strings.ToLower(strings.TrimSpace(e.v.s)))
	if m == nil {
		return fail("write it as in bigint key, varchar(255) or decimal(12,2) not null", "%s is not a type", shown(e.v.place))
	}
	typ, err := columntype.New(m[1], m[2])
	if unknown, ok := errors.AsType[*columntype.UnknownError](err); ok {
		hint := didYouMean(unknown.Name, columntype.Names(), "known types")
		if here := foreignTypes[unknown.Name]; here != "" {
			hint = "here it is " + here
		}
		return fail(hint, "the type %s is not known", quote(unknown.Name))
	}
	if err != nil {
		return fail("", "%v", err)
	}
	wrong := attributes(strings.Fields(m[3]), &c, &typ)
	c.Type = typ.String()
	if wrong != "" {
		return fail(attributeHint(wrong, &typ), "%s cannot follow %s", quote(wrong), c.Type)
	}
	if why := typ.WhyNoKey(); c.Key && why != "" {
		return fail("", "%s cannot be a key: %s", c.Type, why)
	}
	if n := typ.KeyBytes(); c.Key && n > maxKeyBytes {
		return fail("", "%s takes up to %d bytes; a key has at most %d, which is varchar(%d)", c.Type, n, maxKeyBytes, maxKeyBytes/4)
	}
	return c
}

// attributeHint says what may follow a type, where something else does.
func attributeHint(wrong string, typ *columntype.Type) string {
	if strings.HasPrefix(wrong, "primary") {
		return fmt.Sprintf("a column of the primary key is marked as in %s key", typ)
	}
	known := "key, not null"
	if typ.Signed() {
		known += ", unsigned"
	}
	return "known: " + known + ", each once"
}

// foreignTypes are types by the names that others have for them.
var foreignTypes = map[string]string{
	"string": "varchar(255), or text", "str": "varchar(255), or text", "number": "decimal(20,4), bigint or double", "numeric": "decimal(20,4)",
	"int64": "bigint", "int32": "int", "int8": "bigint", "int4": "int", "int2": "smallint", "long": "bigint", "big": "bigint", "serial": "bigint", "bigserial": "bigint",
	"float64": "double", "float8": "double", "timestamptz": "datetime(6)", "jsonb": "json", "object": "json", "array": "json", "uuid": "char(36)",
	"bytea": "blob", "nvarchar": "varchar(255)", "money": "decimal(20,4)", "clob": "longtext", "enum": "varchar(64)",
}

// attributes sets what follows a type. wrong is what cannot follow it, and all behind it.
func attributes(words []string, c *pipeline.ColumnType, typ *columntype.Type) (wrong string) {
	for len(words) > 0 {
		unsigned, canBe := typ.Unsigned()
		switch {
		case words[0] == "key" && !c.Key:
			c.Key, c.NotNull = true, true
		case words[0] == "not" && len(words) > 1 && words[1] == "null":
			c.NotNull, words = true, words[1:]
		case words[0] == "unsigned" && canBe:
			*typ = unsigned
		default:
			return strings.Join(words, " ")
		}
		words = words[1:]
	}
	return ""
}
