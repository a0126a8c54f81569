package processor

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// TestARunThatWasDeclaredBeforeTheStreamIsKnown: a sink found the processed topic recreated, and control did not know
// the stream, as after its topic was lost. The group's positions do not count then: all is processed.
func TestARunThatWasDeclaredBeforeTheStreamIsKnown(t *testing.T) {
	written := topics.Position{RawTopicID: "aa", Run: 3, Generation: 2}
	for name, group := range map[string]map[int32]kadm.Offset{
		"no positions":               nil,
		"positions of a later run":   {0: {At: 7, Metadata: written.Metadata()}},
		"positions without metadata": {0: {At: 7}},
	} {
		f := facts{stream: &pipeline.Stream{}, rawTopicID: "aa", logic: "l", key: "k", group: group}
		s := control.Stream{Run: control.Run{Number: 1, Why: "recreated", ProcessedTopicID: "bb"}}
		if err := f.decide(&s); err != nil {
			t.Fatal(err)
		}
		if s.Run.Number <= 1 || len(group) > 0 && group[0].Metadata != "" && s.Run.Number <= 3 || len(s.Run.From) > 0 || s.Run.Why != "recreated" || s.Run.ProcessedTopicID != "bb" {
			t.Errorf("%s: run %+v", name, s.Run)
		}
	}
}
