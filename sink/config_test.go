package sink

import "testing"

func TestConfigBounds(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("a Config without values is taken")
	}
}
