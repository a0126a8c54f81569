package tool

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/doctor"
)

const doctorPage = "../../docs/reference/doctor.md"

const doctorHead = "# What millrace doctor looks at\n\n<!-- Written by go test ./internal/tool -run TestDoctorPage -update: change internal/doctor/codes.go, not this page. -->\n\n" +
	"`millrace doctor FILE` prints a line for each thing that it has looked at: ok, warn or fail, with its code behind it if it is not ok, and below it what to do.\n" +
	"`millrace explain MR203` prints what is below. Codes never change: scripts and alerts may rely on them (`--output json` has them as `code`).\n"

// TestDoctorPage: docs/reference/doctor.md is what the codes say of themselves, and explain knows them.
func TestDoctorPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(doctorHead)
	heads := map[byte]string{'1': "APIs", '2': "Kafka", '3': "The database", '4': "This host"}
	seen := map[doctor.Code]bool{}
	var group byte
	for _, m := range doctor.Meanings() {
		if g := m.Code[2]; g != group {
			group = g
			fmt.Fprintf(&b, "\n## %s\n\n| code | what is looked at | if it is not so | fix |\n|---|---|---|---|\n", heads[g])
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Code, m.Looks, m.Wrong, m.Fix)
		if seen[m.Code] || m.Looks == "" || m.Wrong == "" || m.Fix == "" {
			t.Errorf("%s is there twice, or does not say all", m.Code)
		}
		seen[m.Code] = true
	}
	if *update {
		if err := os.WriteFile(doctorPage, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(doctorPage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(page), b.String()); d != "" {
		t.Errorf("run go test ./internal/tool -run TestDoctorPage -update; (-page +codes)\n%s", d)
	}
	if text, ok := doctor.Explain("mr203"); !ok || !strings.HasPrefix(text, "MR203: a topic that is there") {
		t.Errorf("%q", text)
	}
	if _, ok := doctor.Explain("ingest.key"); ok {
		t.Error("a key is no code")
	}
}
