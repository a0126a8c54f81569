package ingest

import "testing"

func TestInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		keys []string
		ok   bool
	}{
		"up":              {[]string{"1", "2", "10", "11"}, true},
		"down":            {[]string{"100", "99", "8"}, true},
		"texts":           {[]string{"a", "ab", "b"}, true},
		"of a slice":      {[]string{`["eu",9]`, `["eu",10]`}, true},
		"numbered texts":  {[]string{"o-9", "o-10"}, true},
		"one":             {[]string{"7"}, true},
		"up and down":     {[]string{"1", "3", "2"}, false},
		"down and up":     {[]string{"3", "1", "2"}, false},
		"twice":           {[]string{"1", "1"}, false},
		"up, then random": {[]string{"a", "b", "A"}, false},
		"leading zeros":   {[]string{"07", "8"}, true},
		"in and out":      {[]string{"1", "2", "1", "3"}, false},
	} {
		var o inOrder
		for _, k := range c.keys {
			o.see([]byte(k))
		}
		if o.broken == c.ok {
			t.Errorf("%s: %v", name, o)
		}
	}
}
