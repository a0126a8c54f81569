//go:build integration

package sink

import (
	"strings"
	"testing"
)

func TestExamineMySQL(t *testing.T) {
	found := examines(t, onMySQL(t))
	tablesOf(t, found)
	for _, what := range []string{"sql_mode", "max_allowed_packet", "character set", "clock", "rights"} {
		if f := finding(t, found, what); f.Problem != "" || f.Is == "" {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, found, "version"); !strings.HasPrefix(f.Is, "8.") && !strings.HasPrefix(f.Is, "9.") {
		t.Errorf("%+v", f)
	}
}
