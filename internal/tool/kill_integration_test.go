//go:build integration && !race

package tool

import (
	"testing"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestCommandsKilledOnRealServers kills reset and recover as on the embedded ones.
func TestCommandsKilledOnRealServers(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*patient){"reset": (*patient).killResets, "recover": (*patient).killRecovers} {
		t.Run(name, func(t *testing.T) {
			api := newWarehouse(t, 8)
			x := newOnServers(t, api.URL)
			p := &patient{t: t, api: api, db: x.db, path: x.file, name: x.name}
			p.start()
			testkit.Eventually(t, patience, testkit.That("the first rows", func() bool { return len(p.ids()) == 8 }))
			kill(p)
			p.quiet()
		})
	}
}
