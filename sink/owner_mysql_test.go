//go:build integration

package sink

import "testing"

func TestSecondPipelineOnATableMySQL(t *testing.T) { secondPipeline(t, onMySQL(t)) }

func TestLostRowsWhileASinkRunsMySQL(t *testing.T) { lostRows(t, onMySQL) }
