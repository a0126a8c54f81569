package expression_test

import (
	"strings"
	"testing"
	"time"
)

// TestNamesOfZones: a name that is no offset everywhere is refused, wherever this runs.
func TestNamesOfZones(t *testing.T) {
	here := time.Local
	defer func() { time.Local = here }()
	for _, zone := range []string{"UTC", "America/New_York"} {
		var err error
		if time.Local, err = time.LoadLocation(zone); err != nil {
			t.Fatal(err)
		}
		for source, want := range map[string]string{
			`datetime("Fri, 01 Mar 2024 11:30:00 GMT")`:                            `"2024-03-01 11:30:00"`,
			`datetime("Fri, 01 Mar 2024 11:30:00 UTC")`:                            `"2024-03-01 11:30:00"`,
			`datetime("Fri, 01 Mar 2024 11:30:00 +0000")`:                          `"2024-03-01 11:30:00"`,
			`datetime("Fri, 01 Mar 2024 11:30:00 -0500")`:                          `"2024-03-01 16:30:00"`,
			`datetime("2024-03-01 11:30 -0500 EST", "2006-01-02 15:04 -0700 MST")`: `"2024-03-01 16:30:00"`,
			`datetime("2024-03-01 11:30", "2006-01-02 15:04")`:                     `"2024-03-01 11:30:00"`,
			`datetime("Fri, 01 Mar 2024 11:30:00 EST")`:                            "",
			`datetime("2024-03-01 11:30 EST", "2006-01-02 15:04 MST")`:             "",
			`date("2024-03-01 23:30 PDT", "2006-01-02 15:04 MST")`:                 "",
		} {
			got := evaluate(t, source, "{}")
			if want == "" && !strings.Contains(got, "is not known: use UTC, GMT or an offset") {
				t.Errorf("in %s: %s is %s; want a refusal of the zone", zone, source, got)
			}
			if want != "" && got != want {
				t.Errorf("in %s: %s is %s, want %s", zone, source, got, want)
			}
		}
	}
}
