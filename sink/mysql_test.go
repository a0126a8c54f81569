//go:build integration

package sink

import (
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func TestMySQL(t *testing.T) {
	suite(t, func(t *testing.T) *pipeline.Pipeline {
		return &pipeline.Pipeline{Database: pipeline.Database{MySQL: pipeline.Secret(testservers.MySQL(t))}}
	})
}
