package tool

import "testing"

func TestProgramNameCanBeRepeated(t *testing.T) {
	for called, want := range map[string]string{
		"millrace": "millrace", "./bin/millrace": "./bin/millrace", "/tmp/go-build12/b001/exe/millrace": "go run ./cmd/millrace",
	} {
		if got := programName(called); got != want {
			t.Errorf("%s: %s, want %s", called, got, want)
		}
	}
}
