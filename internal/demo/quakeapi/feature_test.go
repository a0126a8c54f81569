package quakeapi

import (
	"strings"
	"testing"
)

// TestFeaturesKeepTheirBytes: what the types leave out or write in another way would show here.
func TestFeaturesKeepTheirBytes(t *testing.T) {
	all, err := loadRecorded()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1707 {
		t.Errorf("%d events, want 1707", len(all))
	}
	for _, r := range all {
		again, err := newRevision(r.feature, 1)
		if err != nil {
			t.Fatal(err)
		}
		if string(again.raw) != string(r.raw) {
			t.Fatalf("%s is encoded as\n%s\nwas\n%s", r.ID, again.raw, r.raw)
		}
	}
}

func TestMoreThanOneAnswerHolds(t *testing.T) {
	q := query{offset: 3}
	found := make([]*revision, 10)
	if page, ok := q.page(found, 8); !ok || len(page) != 8 {
		t.Errorf("8 of at most 8: %d, %v", len(page), ok)
	}
	if _, ok := q.page(found, 7); ok {
		t.Error("8 of at most 7 are answered")
	}
	q.limit = 7
	if page, ok := q.page(found, 7); !ok || len(page) != 7 {
		t.Errorf("limit 7: %d, %v", len(page), ok)
	}
	if text := tooManyEvents(20001); !strings.HasPrefix(text, "20001 matching events exceeds search limit of 20000.") {
		t.Error(text)
	}
}
