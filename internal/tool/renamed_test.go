package tool

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestARenamedPipelineTakesItsTable: a pipeline has filled its table and is renamed in the file, and the API has
// changed meanwhile. Each step says the next command: the sink waits for --adopt, as doctor and recover say too, and
// what the API shows no more goes with a sweep. The table equals the API then, and the name of before is refused.
func TestARenamedPipelineTakesItsTable(t *testing.T) {
	t.Parallel()
	p := newPatient(t, 20)
	p.stop()
	rename := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(p.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.path, []byte(strings.Replace(string(content), "pipeline: "+from, "pipeline: "+to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename("shop", "store")
	p.api.drop(0)
	p.add(20)
	p.start()
	p.refused("the stream orders of the pipeline shop writes it")
	p.command(cli.ExitError, "--adopt orders", "recover", "--yes")
	p.stop()

	before := p.api.shows()
	p.start("--adopt", "orders")
	p.told("the table orders was adopted, from the stream orders of the pipeline shop")
	awaitTable(t, p.path, append([]int{0}, before...))
	p.told("those that the API shows no more go with `millrace reset " + p.path + " orders --sweep`")
	p.command(0, "1 row deleted", "reset", "orders", "--sweep", "--yes")
	p.inOrder()

	rename("store", "shop")
	p.start()
	p.refused("the stream orders of the pipeline store writes it")
	p.stop()
	awaitTable(t, p.path, before)
}

// refused waits until the pipeline says that its table is another's, and how it would take it.
func (p *patient) refused(why string) {
	p.t.Helper()
	testkit.Eventually(p.t, patience, testkit.That(why, func() bool {
		code, body := get(p.t, p.run.address(p.t)+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, why) && strings.Contains(body, "millrace run "+p.path+" --adopt orders")
	}))
	p.told(why)
}
