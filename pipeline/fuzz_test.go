package pipeline_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

// FuzzParse feeds anything to the loader. It must not panic, a refusal must be well formed and show nothing of what
// references stand for, and what it takes once it takes again in the same way.
func FuzzParse(f *testing.F) {
	for _, path := range append(glob(f, "testdata/good/*.yaml"), glob(f, "testdata/bad/*.yaml")...) {
		f.Add(read(f, path))
	}
	const secret = "Xq7Zu3!"
	lookup := func(name string) (string, bool) { return secret, len(name)%2 == 0 }
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "file:") || strings.Contains(string(data), secret) {
			return
		}
		p, err := pipeline.Parse("f.yaml", data, lookup)
		if err == nil {
			again, err := pipeline.Parse("f.yaml", data, lookup)
			if err != nil || !reflect.DeepEqual(p, again) {
				t.Errorf("parsed again: %+v, %v", again, err)
			}
			if len(p.Streams) == 0 || p.Kafka.Partitions < 1 || strings.Contains(fmt.Sprintf("%+v", p.Database), secret) {
				t.Errorf("taken: %+v", p)
			}
			for _, s := range p.Streams {
				if s.Name == "" || s.Sink.Table == "" || len(s.Sink.KeyColumns()) == 0 || len(s.Ingest.Key) == 0 || s.Ingest.HTTP.BaseURL == "" ||
					s.Ingest.Concurrency < 1 || s.Ingest.HTTP.Timeout <= 0 {
					t.Errorf("taken: %+v", s)
				}
			}
			return
		}
		var problems pipeline.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error %T: %v", err, err)
		}
		for _, pr := range problems {
			if pr.Message == "" || pr.File != "f.yaml" || pr.Line < 0 || pr.Column < 0 {
				t.Errorf("problem %+v", pr)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("shows what a reference stands for: %v", err)
		}
	})
}
