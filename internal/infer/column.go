package infer

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/internal/expression"
)

// Column is a column as it is proposed.
type Column struct {
	Name  string
	Expr  string // that makes it from a record
	Type  string // of MySQL, with its attributes: bigint key
	Key   bool
	Guess string   // why it is only a guess; empty: the sample leaves no doubt
	Path  []string // of the field
}

// Columns proposes the columns of a table of which key are the paths of the key.
func (s *Sample) Columns(key [][]string) []Column {
	var out []Column
	taken := map[string]bool{}
	for _, f := range s.Fields {
		isKey := slices.ContainsFunc(key, func(p []string) bool { return slices.Equal(p, f.Path) })
		c := Column{Path: f.Path, Key: isKey, Name: f.columnName(taken)}
		taken[strings.ToLower(c.Name)] = true
		c.Expr, c.Type, c.Guess = f.column(isKey)
		out = append(out, c)
	}
	shrink(out)
	for i := range out {
		if out[i].Key {
			out[i].Type += " key"
		}
	}
	return out
}

var oddInName = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// columnName is a name for a column that is not taken.
func (f *Field) columnName(taken map[string]bool) string {
	path := f.Path
	if len(path) > 1 && slices.Contains(wrappers, path[0]) {
		path = path[1:]
	}
	name := func(names []string) string {
		n := strings.Trim(oddInName.ReplaceAllString(strings.Join(names, "_"), "_"), "_")
		if strings.HasPrefix(names[0], "_") && len(names) == 1 {
			n = strings.TrimLeft(n, "_")
		}
		if len(n) > 60 {
			n = n[len(n)-60:]
		}
		if n == "" || strings.HasPrefix(strings.ToLower(n), "mr_") {
			n = "field_" + n
		}
		return n
	}
	n := name(path)
	if taken[strings.ToLower(n)] {
		n = name(f.Path)
	}
	base := n
	for i := 2; taken[strings.ToLower(n)]; i++ {
		n = base + "_" + strconv.Itoa(i)
	}
	return n
}

// Expr is the expression that is nothing but a path.
func Expr(path []string) string {
	plain := strings.Join(path, ".")
	if same(plain, path) {
		return plain
	}
	var odd strings.Builder
	odd.WriteString("$env")
	for _, name := range path {
		fmt.Fprintf(&odd, "[%q]", name)
	}
	return odd.String()
}

func same(source string, path []string) bool {
	p, err := expression.Compile(source)
	if err != nil {
		return false
	}
	got, ok := p.Path()
	return ok && slices.Equal(got, path)
}

// orNull is an expression that leaves null where the field has no value.
func (f *Field) orNull(path, expr string) string {
	if f.Empty > 0 {
		return fmt.Sprintf(`(%s ?? "") == "" ? null : %s`, path, expr)
	}
	return fmt.Sprintf("%s == null ? null : %s", path, expr)
}

// column is the expression, the type, and why it is a guess.
func (f *Field) column(key bool) (expr, typ, guess string) {
	path := Expr(f.Path)
	kinds := 0
	for _, n := range []int{f.Bools, f.Numbers, f.Texts, f.Arrays, f.Objects} {
		kinds += min(n, 1)
	}
	switch {
	case kinds == 0:
		return path, "varchar(255)", "it was null in every record of the sample"
	case kinds > 1 && f.Arrays+f.Objects > 0:
		return path, "json", "its values are of several kinds"
	case kinds > 1 && key:
		return path, "varchar(255)", "its values are of several kinds"
	case kinds > 1:
		return path, "text", "its values are of several kinds"
	case f.Arrays+f.Objects > 0:
		return path, "json", ""
	case f.Bools > 0:
		return path, "boolean", ""
	case f.Numbers > 0:
		return f.numberColumn(path, key)
	}
	return f.textColumn(path, key)
}

func (f *Field) numberColumn(path string, key bool) (expr, typ, guess string) {
	switch {
	case f.exponent || f.fraction > 8:
		return path, "double", ""
	case f.fraction > 0:
		places := max(f.fraction, 2)
		if f.fraction > 2 {
			places = f.fraction + 2
		}
		digits := max(10, f.whole+4) + places
		return path, fmt.Sprintf("decimal(%d,%d)", digits, places), ""
	case f.huge:
		return path, fmt.Sprintf("decimal(%d,0)", max(38, f.whole+4)), ""
	case key:
		return path, "bigint", ""
	}
	if unit := f.epoch(); unit != "" {
		typ := "datetime"
		if unit == "from_unix_ms" {
			typ = "datetime(3)"
		}
		return f.orNull(path, unit+"("+path+")"), typ, ""
	}
	if decimalName.MatchString(plain(f.Name())) && f.Numbers < 20 {
		return path, "decimal(20,4)", "all were whole numbers, and by its name they need not be"
	}
	return path, "bigint", ""
}

var (
	decimalName = regexp.MustCompile(`(price|rate|ratio|percent|percentage|average|avg|mean|lat|lon|lng|latitude|longitude|temperature|magnitude|mag|depth|score|weight|height|width)$`)
	timeName    = regexp.MustCompile(`(at|time|date|timestamp|created|updated|modified|changed|ts|on|since|until|start|end|expires|due|expiry|closed|opened|begin|utc|ms|set|seen|sent|received|posted|published|read|joined|login|active)$`)
)

// epoch says whether whole numbers are times since 1970, by their size and their name, and which function reads them.
func (f *Field) epoch() (function string) {
	named := timeName.MatchString(plain(f.Name()))
	switch {
	case f.negative || f.fraction > 0:
	case f.least >= 100_000_000_000 && f.most < 10_000_000_000_000 && named:
		return "from_unix_ms"
	case f.least >= 600_000_000 && f.most < 4_102_444_800 && named:
		return "from_unix"
	}
	return ""
}

func (f *Field) textColumn(path string, key bool) (expr, typ, guess string) {
	if f.Texts == f.Empty {
		return path, "varchar(255)", "it was empty in every record of the sample"
	}
	if key {
		if f.commonForm() == uuid {
			return path, "char(36)", ""
		}
		return path, fmt.Sprintf("varchar(%d)", f.keyLength()), ""
	}
	few := ""
	if f.Texts-f.Empty < 3 {
		few = fmt.Sprintf("only %d of %d records had it", f.Texts-f.Empty, f.Records)
	}
	switch f.commonForm() {
	case moment:
		if f.zoneless > 0 {
			guess = "its times name no zone, and are read as UTC"
		}
		return f.timeExpr(path), f.momentType(), guess
	case day:
		return f.timeExpr(path), "date", few
	case clock:
		typ := "time"
		if f.places > 0 {
			typ = "time(" + strconv.Itoa(min(f.places, 6)) + ")"
		}
		return f.timeExpr(path), typ, few
	case rfc2822:
		return f.orNull(path, "datetime("+path+")"), "datetime", ""
	case decimalText:
		return f.numberText(path), f.decimalType(), few
	case uuid:
		return path, "char(36)", few
	case webAddress:
		if f.longest <= 200 {
			return path, "varchar(500)", ""
		}
		return path, "text", ""
	default:
	}
	return path, f.textType(), ""
}

// momentType has as many places as the times of the sample.
func (f *Field) momentType() string {
	switch {
	case f.places > 3:
		return "datetime(6)"
	case f.places > 0:
		return "datetime(3)"
	}
	return "datetime"
}

// decimalType has room for more digits than the numbers of the sample.
func (f *Field) decimalType() string {
	places := max(f.fraction, 2)
	if f.fraction > 2 {
		places = min(f.fraction+2, 30)
	}
	digits := min(max(12, f.whole+6)+places, 65)
	return fmt.Sprintf("decimal(%d,%d)", digits, places)
}

func (f *Field) timeExpr(path string) string {
	if f.Empty > 0 {
		return f.orNull(path, path)
	}
	return path
}

// numberText is a number in a text, which a column takes by itself; an empty text it does not.
func (f *Field) numberText(path string) string { return f.timeExpr(path) }

func (f *Field) keyLength() int {
	for _, n := range []int{32, 64, 128, 255, 500} {
		if 2*f.longest <= n {
			return n
		}
	}
	return 700
}

var titleName = regexp.MustCompile(`(name|title|subject|label|address|street|city|place|company|email|mail|filename|path)$`)

var longName = regexp.MustCompile(`(description|body|content|text|message|html|notes?|comments?|summary|bio|markdown|details?)$`)

// textType leaves room: a sample seldom has the longest text.
func (f *Field) textType() string {
	least := 64
	if f.words || titleName.MatchString(plain(f.Name())) {
		least = 255
	}
	for _, n := range []int{64, 128, 255, 500, 1000} {
		if 2*f.longest <= n && !longName.MatchString(plain(f.Name())) {
			return fmt.Sprintf("varchar(%d)", max(n, least))
		}
	}
	if f.longest > 8000 {
		return "mediumtext"
	}
	return "text"
}

// mostRowBytes is what columns may take in a row, below MySQL's limit.
const mostRowBytes = 60_000

// shrink makes text of the widest columns until a row fits.
func shrink(columns []Column) {
	for {
		total, widest, at := 0, 0, -1
		for i, c := range columns {
			n := columntype.Of(c.Type).RowBytes()
			total += n
			if n > widest && !c.Key && strings.HasPrefix(c.Type, "varchar") {
				widest, at = n, i
			}
		}
		if total <= mostRowBytes || at < 0 {
			return
		}
		columns[at].Type = "text"
	}
}
