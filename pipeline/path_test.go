package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string][]string{
		"id":                   {"id"},
		"meta.next_cursor":     {"meta", "next_cursor"},
		"@odata.nextLink":      {"@odata", "nextLink"},
		`"@odata.nextLink"`:    {"@odata.nextLink"},
		`meta."next.page".url`: {"meta", "next.page", "url"},
		`a."b \"c\" \\ [0]"`:   {"a", `b "c" \ [0]`},
		`totals."2024"`:        {"totals", "2024"},
		"x-1.ns:y/z.é":         {"x-1", "ns:y/z", "é"},
		"a.$ref":               {"a", "$ref"},
		`"$"`:                  {"$"},
	} {
		got, err := pipeline.ParsePath(text)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", text, err, d)
		}
		if again, err := pipeline.ParsePath(pipeline.FormatPath(got)); err != nil || !cmp.Equal(again, got) {
			t.Errorf("%s is written %s, which is %q (%v)", text, pipeline.FormatPath(got), again, err)
		}
	}
	for text, want := range map[string]string{
		"":             "a name is empty",
		"a..b":         "a name is empty",
		".a":           "a name is empty",
		"a.":           "a name is empty",
		`a.""`:         "a name is empty",
		"data[-1].id":  "place in an array",
		"data[0].id":   "place in an array",
		"data.*.id":    "place in an array",
		"link.0.url":   "number for a name",
		"data.-1.id":   "number for a name",
		"$.data.next":  "begins with $",
		"/data/next":   "need quotes",
		"next page":    "need quotes",
		`"a`:           "does not end",
		`"a"b`:         "behind a quoted name",
		`a."b\"`:       "does not end",
		"first(items)": "need quotes",
	} {
		_, err := pipeline.ParsePath(text)
		var e *pipeline.PathError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Path != text || e.Hint == "" {
			t.Errorf("%s: error %v, want %q in it", text, err, want)
		}
	}
}

func TestPathTakes(t *testing.T) {
	path := []string{"@odata", "next", "Link"}
	for member, want := range map[string]int{
		"@odata": 1, "@odata.next": 2, "@odata.next.Link": 3, "@odata.": 0, "@odata.nex": 0, "@odat": 0, "": 0, "@odata.next.Link.x": 0, "@odatax": 0,
	} {
		if got := pipeline.PathTakes(path, member); got != want {
			t.Errorf("%q takes %d names, want %d", member, got, want)
		}
	}
	if got := pipeline.PathTakes([]string{"a.b", "c"}, "a.b.c"); got != 2 {
		t.Errorf("a name with a dot is taken with %d names, want 2", got)
	}
}

func FuzzPath(f *testing.F) {
	f.Add(`a."b.c\"".d`)
	f.Fuzz(func(t *testing.T, text string) {
		names, err := pipeline.ParsePath(text)
		if err != nil {
			return
		}
		again, err := pipeline.ParsePath(pipeline.FormatPath(names))
		if err != nil || !cmp.Equal(names, again) {
			t.Errorf("%q is %q, written %s, which is %q (%v)", text, names, pipeline.FormatPath(names), again, err)
		}
	})
}
