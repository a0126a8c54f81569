package file

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// columnKind is what is known of a MySQL type.
type columnKind struct {
	params   int    // how many parameters it takes
	optional bool   // they may be left out
	most     [2]int // of each parameter
	least    [2]int
	signed   bool   // "unsigned" may follow
	bytes    int    // in a row
	perChar  int    // bytes for each of parameter 1
	noKey    string // why it cannot be a key; "": it can
}

const (
	textKey  = "MySQL cannot index it whole: a key needs varchar(n)"
	floatKey = "it is not exact, so two keys could become one row: a key needs bigint, decimal or varchar(n)"
	jsonKey  = "MySQL cannot index it: a key needs varchar(n)"
)

var columnKinds = map[string]columnKind{
	"bigint":     {signed: true, bytes: 8},
	"int":        {signed: true, bytes: 4},
	"smallint":   {signed: true, bytes: 2},
	"tinyint":    {signed: true, bytes: 1},
	"boolean":    {bytes: 1},
	"double":     {bytes: 8, noKey: floatKey},
	"float":      {bytes: 4, noKey: floatKey},
	"decimal":    {params: 2, least: [2]int{1, 0}, most: [2]int{65, 30}, bytes: 32},
	"varchar":    {params: 1, least: [2]int{1}, most: [2]int{16383}, bytes: 2, perChar: 4},
	"char":       {params: 1, least: [2]int{1}, most: [2]int{255}, perChar: 4},
	"varbinary":  {params: 1, least: [2]int{1}, most: [2]int{65532}, bytes: 2, perChar: 1},
	"text":       {bytes: 10, noKey: textKey},
	"mediumtext": {bytes: 11, noKey: textKey},
	"longtext":   {bytes: 12, noKey: textKey},
	"json":       {bytes: 12, noKey: jsonKey},
	"date":       {bytes: 3},
	"datetime":   {params: 1, optional: true, most: [2]int{6}, bytes: 8},
	"timestamp":  {params: 1, optional: true, most: [2]int{6}, bytes: 7},
	"time":       {params: 1, optional: true, most: [2]int{6}, bytes: 6},
}

// columnNames are the types in the order in which messages list them.
var columnNames = []string{
	"bigint", "int", "smallint", "tinyint", "boolean", "decimal", "double", "float", "varchar", "char", "text", "mediumtext",
	"longtext", "varbinary", "date", "datetime", "timestamp", "time", "json",
}

var aliases = map[string]string{"integer": "int", "bool": "boolean", "numeric": "decimal", "dec": "decimal"}

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
	name, params, attributes := m[1], m[2], strings.Fields(m[3])
	if full, ok := aliases[name]; ok {
		name = full
	}
	kind, ok := columnKinds[name]
	if !ok {
		return fail(didYouMean(name, columnNames, "known types"), "the type %s is not known", quote(m[1]))
	}
	c.Type = name
	if why := kind.parameters(name, params, &c); why != "" {
		return fail("", "%s", why)
	}
	for len(attributes) > 0 {
		switch a := attributes[0]; {
		case a == "key" && !c.Key:
			c.Key, c.NotNull = true, true
		case a == "not" && len(attributes) > 1 && attributes[1] == "null":
			c.NotNull, attributes = true, attributes[1:]
		case a == "unsigned" && kind.signed && !strings.HasSuffix(c.Type, "unsigned"):
			c.Type += " unsigned"
		default:
			known := []string{"key", "not null"}
			if kind.signed {
				known = append(known, "unsigned")
			}
			return fail("known: "+strings.Join(known, ", ")+", each once", "%s cannot follow %s", quote(strings.Join(attributes, " ")), c.Type)
		}
		attributes = attributes[1:]
	}
	if c.Key && kind.noKey != "" {
		return fail("", "%s cannot be a key: %s", c.Type, kind.noKey)
	}
	if n := keyBytes(c.Type); c.Key && n > maxKeyBytes {
		return fail("", "%s takes up to %d bytes; a key has at most %d, which is varchar(%d)", c.Type, n, maxKeyBytes, maxKeyBytes/4)
	}
	return c
}

// parameters checks what stands in parentheses and adds it to the type. It returns what is wrong.
func (k columnKind) parameters(name, params string, c *pipeline.ColumnType) string {
	if params == "" {
		if k.params == 0 || k.optional {
			return ""
		}
		if k.params == 2 {
			return name + " needs its digits, and how many of them are behind the point: " + name + "(12,2)"
		}
		return name + " needs a length: " + name + "(255)"
	}
	parts := strings.Split(params, ",")
	if len(parts) != k.params {
		return fmt.Sprintf("%s(%s) has %d parameters; want %d", name, params, len(parts), k.params)
	}
	numbers := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < k.least[i] || n > k.most[i] {
			return fmt.Sprintf("%s(%s): %s is not a whole number from %d to %d", name, params, quote(strings.TrimSpace(p)), k.least[i], k.most[i])
		}
		numbers[i] = n
		parts[i] = strconv.Itoa(n)
	}
	if len(numbers) == 2 && numbers[1] > numbers[0] {
		return fmt.Sprintf("%s(%s) has more digits behind the point than at all", name, params)
	}
	c.Type += "(" + strings.Join(parts, ",") + ")"
	return ""
}

// rowBytes is how many bytes a value of the type takes in a row at most, with four for a character.
func rowBytes(typ string) int {
	k, n := kindOfColumn(typ)
	return k.bytes + k.perChar*n
}

// keyBytes is how many bytes a value takes in an index: as in a row, without the length.
func keyBytes(typ string) int {
	k, n := kindOfColumn(typ)
	if k.perChar > 0 {
		return k.perChar * n
	}
	return k.bytes
}

func kindOfColumn(typ string) (k columnKind, n int) {
	if m := columnText.FindStringSubmatch(typ); m != nil {
		k = columnKinds[m[1]]
		n, _ = strconv.Atoi(m[2])
	}
	return k, n
}
