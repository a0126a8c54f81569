//go:build integration

package tool

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

// TestExamplesOnRealServers runs the examples of --help that name servers, and those of one stage alone, on Apache
// Kafka and MySQL.
func TestExamplesOnRealServers(t *testing.T) {
	s := newScenes(t)
	s.kafka, s.mysql = testservers.Kafka(t)[0], testservers.MySQL(t)
	ran := map[string]bool{}
	for _, c := range programs() {
		for _, line := range examplesOf(c) {
			if ran[line] || onRealServers[line] == "" && s.of(line).dir != "brokers" {
				continue
			}
			ran[line] = true
			command := strings.NewReplacer("localhost:9092", s.kafka, "root:secret@tcp(localhost:3306)/test", s.mysql).Replace(line)
			t.Run(line, func(t *testing.T) {
				if err := s.play(t, command); err != nil {
					t.Errorf("an example of `%s --help` does not run:\n  %s\n%v", c.CommandPath(), line, err)
				}
			})
		}
	}
	if len(ran) < 15 {
		t.Errorf("only %d examples were found", len(ran))
	}
}
