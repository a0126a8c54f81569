package paginate

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// FieldError says that a page lacks what tells whether another one follows.
type FieldError struct {
	Path string
	Is   string
	Want string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("the answer has %s at %q, where paginate expects %s", e.Is, e.Path, e.Want)
}

func newFieldError(path []string, v jsontext.Value, want string) error {
	is := "nothing"
	switch {
	case len(v) > 60:
		is = "a long value"
	case v != nil:
		is = string(v)
	}
	return &FieldError{Path: pipeline.FormatPath(path), Is: is, Want: want}
}
