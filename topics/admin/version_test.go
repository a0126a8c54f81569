package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// TestOldBrokersAreRefused: before anything is made on them.
func TestOldBrokersAreRefused(t *testing.T) {
	for _, c := range []struct {
		is      *kversion.Versions
		refused bool
	}{{kversion.V3_6_0(), true}, {kversion.V3_7_0(), false}, {kversion.V4_1_0(), false}} {
		adm := kadm.NewClient(testkafka.Client(t, testkafka.New(t, kfake.MaxVersions(c.is))))
		err := admin.Ensure(t.Context(), adm, topics.Specs(shop("shop")))
		old, refused := errors.AsType[*admin.VersionError](err)
		if refused != c.refused || refused && (!admin.NeedsOperator(err) || !strings.Contains(old.Error(), "3.7 or later")) || !refused && err != nil {
			t.Errorf("%s: %v", c.is.VersionGuess(), err)
		}
		if made, err := adm.ListTopics(t.Context()); err != nil || c.refused && len(made) > 0 {
			t.Errorf("%s: %d topics, %v", c.is.VersionGuess(), len(made), err)
		}
	}
}
