package stage

import (
	"cmp"
	"errors"
	"fmt"
)

// Ranges collects the fields of a configuration that are out of their range. The zero value is ready.
type Ranges struct{ errs []error }

// Between notes a value below low or above high, which are in the field's unit.
func Between[T cmp.Ordered](r *Ranges, field string, value, low, high T) {
	if value < low || value > high {
		r.errs = append(r.errs, fmt.Errorf("%s: %v; it must be %v to %v", field, value, low, high))
	}
}

// AtLeast notes a value below low.
func AtLeast[T cmp.Ordered](r *Ranges, field string, value, low T) {
	if value < low {
		r.errs = append(r.errs, fmt.Errorf("%s: %v; it must be %v or more", field, value, low))
	}
}

// Err joins what was noted. It is nil if nothing was.
func (r *Ranges) Err() error { return errors.Join(r.errs...) }
