package pipeline_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

func TestChoose(t *testing.T) {
	p := &pipeline.Pipeline{Name: "shop", Streams: []pipeline.Stream{{Name: "orders"}, {Name: "customers"}, {Name: "carts"}}}
	for want, names := range map[string][]string{
		"orders customers carts": nil,
		"orders carts":           {"carts", "orders"},
		"":                       {},
	} {
		chosen, err := p.Choose(names)
		var got []string
		for _, s := range chosen {
			got = append(got, s.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("Choose(%q): %q, %v; want %s", names, got, err, want)
		}
	}
	_, err := p.Choose([]string{"orders", "order"})
	if want := `the pipeline shop has no stream "order"; it has ["orders" "customers" "carts"]`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
