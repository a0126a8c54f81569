package columntype

import "slices"

// base is a type of MySQL without its arguments.
type base struct {
	name      string
	kind      Kind
	params    int    // how many arguments it takes
	optional  bool   // they may be left out
	least     [2]int // of each argument
	most      [2]int
	character bool   // it has a character set and a collation
	signed    bool   // "unsigned" may follow
	bytes     int    // in a row, without what perUnit adds
	perUnit   int    // bytes for each character or byte of the first argument
	noKey     string // why it cannot be a key; empty: it can
}

const (
	textKey  = "MySQL cannot index it whole: a key needs varchar(n)"
	blobKey  = "MySQL cannot index it whole: a key needs varbinary(n)"
	floatKey = "it is not exact, so two keys could become one row: a key needs bigint, decimal or varchar(n)"
	jsonKey  = "MySQL cannot index it: a key needs varchar(n)"
)

// bases are the types, in the order in which messages list them. Widths are those of MySQL 8.4's manual, "Data Type
// Storage Requirements", with four bytes for a character.
var bases = []base{
	{name: "bigint", kind: Integer, signed: true, bytes: 8},
	{name: "int", kind: Integer, signed: true, bytes: 4},
	{name: "mediumint", kind: Integer, signed: true, bytes: 3},
	{name: "smallint", kind: Integer, signed: true, bytes: 2},
	{name: "tinyint", kind: Integer, signed: true, params: 1, optional: true, least: [2]int{1}, most: [2]int{1}, bytes: 1},
	{name: "boolean", kind: Boolean, bytes: 1},
	{name: "year", kind: Year, bytes: 1},
	{name: "decimal", kind: Decimal, params: 2, least: [2]int{1, 0}, most: [2]int{65, 30}, bytes: 32},
	{name: "double", kind: Float, bytes: 8, noKey: floatKey},
	{name: "float", kind: Float, bytes: 4, noKey: floatKey},
	{name: "varchar", kind: Text, params: 1, least: [2]int{1}, most: [2]int{16383}, character: true, bytes: 2, perUnit: 4},
	{name: "char", kind: Text, params: 1, least: [2]int{1}, most: [2]int{255}, character: true, perUnit: 4},
	{name: "text", kind: Text, character: true, bytes: 10, noKey: textKey},
	{name: "tinytext", kind: Text, character: true, bytes: 9, noKey: textKey},
	{name: "mediumtext", kind: Text, character: true, bytes: 11, noKey: textKey},
	{name: "longtext", kind: Text, character: true, bytes: 12, noKey: textKey},
	{name: "varbinary", kind: Binary, params: 1, least: [2]int{1}, most: [2]int{65532}, bytes: 2, perUnit: 1},
	{name: "blob", kind: Binary, bytes: 10, noKey: blobKey},
	{name: "tinyblob", kind: Binary, bytes: 9, noKey: blobKey},
	{name: "mediumblob", kind: Binary, bytes: 11, noKey: blobKey},
	{name: "longblob", kind: Binary, bytes: 12, noKey: blobKey},
	{name: "date", kind: Date, bytes: 3},
	{name: "datetime", kind: Moment, params: 1, optional: true, most: [2]int{6}, bytes: 8},
	{name: "timestamp", kind: Moment, params: 1, optional: true, most: [2]int{6}, bytes: 7},
	{name: "time", kind: Clock, params: 1, optional: true, most: [2]int{6}, bytes: 6},
	{name: "json", kind: JSON, bytes: 12, noKey: jsonKey},
}

var aliases = map[string]string{
	"integer": "int", "bool": "boolean", "numeric": "decimal", "dec": "decimal", "fixed": "decimal", "real": "double",
}

// find returns the type of that name or alias, or nil.
func find(name string) *base {
	if full, ok := aliases[name]; ok {
		name = full
	}
	if i := slices.IndexFunc(bases, func(b base) bool { return b.name == name }); i >= 0 {
		return &bases[i]
	}
	return nil
}

// Names are the types, without arguments and without aliases, in the order in which messages list them.
func Names() []string {
	out := make([]string, len(bases))
	for i := range bases {
		out[i] = bases[i].name
	}
	return out
}
