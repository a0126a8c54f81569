package ingest_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// zipped is an archive of files, by name and text one after the other.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestZip: the file in an archive is the body, whether it is in memory or not.
func TestZip(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		ingest string
		files  []string
	}{
		"the only file":     {"format: csv", []string{"export/", "", "export/orders.csv", "id,name\n1,a\n2,\n"}},
		"the one that fits": {`format: csv, zip_entry: "orders-*.csv"`, []string{"README", "no", "export/orders-2024.csv", "id,name\n1,a\n2,\n"}},
		"in a file":         {"format: csv", []string{"orders.csv", "id,name\n1,a\n2,\n" + "3," + long + "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive := zipped(t, c.files...)
			s := newStyle(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", "application/zip")
				_, _ = w.Write(archive)
			})
			k := testkafka.New(t)
			cfg := testConfig()
			cfg.PageMemoryBytes = 64 << 10
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, key: id, "+c.ingest), "one", cfg)
			r.awaitPass(t)
			r.stop()
			want := map[string]int{"1": 1, "2": 1}
			if strings.Contains(c.files[len(c.files)-1], long) {
				want["3"] = 1
			}
			if d := cmp.Diff(want, rawKeys(t, k.ListenAddrs(), "shop.items.raw")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestZipBomb: what an archive holds is bounded as any body is, and what cannot be told apart, or is damaged, is an
// error.
func TestZipBomb(t *testing.T) {
	damaged := zipped(t, "a.csv", "id\n1\n")
	damaged[len("PK")+40]++ // in its data
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"too large":      {zipped(t, "a.csv", "id\n"+strings.Repeat("1\n", 1<<20)), "max_body"},
		"several files":  {zipped(t, "a.csv", "id\n1\n", "b.csv", "id\n2\n"), "zip_entry"},
		"damaged":        {damaged, "shop"},
		"cut off":        {zipped(t, "a.csv", "id\n1\n")[:60], "zip"},
		"without a file": {zipped(t, "a/", ""), "zip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStyle(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", "application/zip")
				_, _ = w.Write(c.archive)
			})
			k := testkafka.New(t)
			r := start(t, streamFrom(t, k.ListenAddrs(), s.URL, "path: /items, key: id, format: csv, max_body: 100KiB, retry: {initial: 1ms, max: 5ms, attempts: 1}"), "one", testConfig())
			testkit.Eventually(t, patience, func() error {
				for _, text := range r.Health.Waiting() {
					if strings.Contains(text, c.want) || c.want == "shop" && strings.Contains(text, "items") {
						return nil
					}
				}
				return errors.New("nothing is said of it: " + r.log.String())
			})
			if got := testkit.Records(t, k.ListenAddrs(), "shop.items.raw"); len(got) > 0 {
				t.Errorf("%d records", len(got))
			}
		})
	}
}
