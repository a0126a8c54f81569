package pipeline_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

func TestLayout(t *testing.T) {
	at := time.Date(2024, 3, 2, 17, 4, 5, 678_901_000, time.FixedZone("", 3600))
	for format, want := range map[string]string{
		"%d.%m.%Y %H:%M:%S": "02.03.2024 17:04:05", "%Y%m%dT%H%M%SZ": "20240302T170405Z", "%m/%d/%y %I:%M %p": "03/02/24 05:04 PM",
		"%F %T.%f %z": "2024-03-02 17:04:05.678901 +0100", "%a, %e %b": "Sat,  2 Mar", "%A %d. %B": "Saturday 02. March", "%j%%": "062%", "%R.%L": "17:04.678",
	} {
		layout, err := pipeline.Layout(format)
		if got := at.Format(layout); err != nil || got != want {
			t.Errorf("%s gives %q (%v), want %q", format, got, err, want)
		}
		if !pipeline.OwnFormat(format) {
			t.Errorf("%s is not seen to be a format of its own", format)
		}
	}
	for _, format := range []string{"%", "%d %", "%Q", "%d 1", "Mon %d"} {
		if layout, err := pipeline.Layout(format); err == nil {
			t.Errorf("%s is taken for %q", format, layout)
		}
	}
}
