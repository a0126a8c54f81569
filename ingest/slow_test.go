package ingest_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestSlowLink commits a page over a link that cannot carry it within the time of a transaction: smaller transactions
// do, and the API is asked for the page once.
func TestSlowLink(t *testing.T) {
	if testing.Short() {
		t.Skip("a link that takes 15 s for a page")
	}
	t.Parallel()
	const records, size = 1000, 1100 // that compress to about half
	noise := rand.NewChaCha8([32]byte{})
	var body strings.Builder
	for i := range records {
		text := make([]byte, size/2)
		_, _ = noise.Read(text)
		fmt.Fprintf(&body, `,{"id":%d,"text":%q}`, i, hex.EncodeToString(text))
	}
	page := `{"data":[` + body.String()[1:] + `]}`
	var asked atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(api.Close)
	c := testkafka.New(t)
	link := testkit.NewLink(1 << 30)
	cfg := testConfig()
	cfg.TransactionTimeout = 5 * time.Second
	pl := newPipeline(c.ListenAddrs(), (&whole{api}).stream())
	r := startWith(t, pl, "one", cfg, kgo.Dialer(link.Dial), kgo.ProducerBatchCompression(kgo.NoCompression()))
	testkit.Eventually(t, patience, testkit.That("the page is fetched", func() bool { return asked.Load() > 0 }))
	link.SetRate(75_000) // a transaction has 3.75 s
	select {
	case <-r.PassesDone():
	case <-time.After(2 * patience):
		t.Errorf("the page was not committed; %d bytes went over the link; log:\n%s", link.Up(), r.log)
	}
	link.SetRate(1 << 30)
	r.stop()
	if n := asked.Load(); n != 1 {
		t.Errorf("the API was asked for its page %d times", n)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), "shop.items.raw")); n != records {
		t.Errorf("%d records in raw, want %d", n, records)
	}
	t.Logf("%d bytes over the link for a page of %d", link.Up(), len(page))
}
