package rows

import (
	"bytes"
	"testing"
)

// FuzzValues: whatever is appended is read back, in its order.
func FuzzValues(f *testing.F) {
	f.Add([]byte(""), []byte("12"), uint8(1))
	f.Add(bytes.Repeat([]byte("long"), 5000), []byte("\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, a, b []byte, form uint8) {
		first, second := Form(form%4), Form((form+1)%4)
		v := Values(nil).Append(first, a).Append(Null, nil).Append(second, b)
		for i, want := range []Value{{first, a}, {Null, nil}, {second, b}} {
			at := v.At(i)
			if at.Form != want.Form || !bytes.Equal(at.Bytes, want.Bytes) {
				t.Errorf("value %d is %v, want %v", i, at, want)
			}
		}
		rest := v
		for range 3 {
			_, rest = rest.Next()
		}
		if len(rest) != 0 {
			t.Errorf("%d bytes are left", len(rest))
		}
	})
}
