package deploy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// What docker-compose.yml runs is the example, on other servers and with another address of the API.
func TestEarthquakesIsTheExample(t *testing.T) {
	t.Setenv("MYSQL_PASSWORD", "x")
	example, err := file.Load("../examples/earthquakes/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := file.Load("earthquakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if deployed.Kafka.Embedded || deployed.Database.Embedded {
		t.Error("deployed on embedded servers")
	}
	for _, p := range []*pipeline.Pipeline{example, deployed} {
		for i := range p.Streams {
			p.Streams[i].Ingest.HTTP.BaseURL = ""
			p.Streams[i].Ingest.HTTP.Secrets = nil // the password of its database is one
		}
	}
	if d := cmp.Diff(example.Streams, deployed.Streams); d != "" {
		t.Errorf("streams differ from the example (-example +deployed):\n%s", d)
	}
	if example.Name != deployed.Name {
		t.Errorf("pipeline %q, the example is %q", deployed.Name, example.Name)
	}
}
