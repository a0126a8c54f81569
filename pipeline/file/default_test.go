package file

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// What editors say is the default is what the loader takes.
func TestDefaultsAreWhatTheTagsSay(t *testing.T) {
	data, err := os.ReadFile("testdata/good/least.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("least.yaml", data, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	in := p.Streams[0].Ingest
	page := (&decoder{}).paginate(pagination(paginateFile{Page: object[pageFile]{leaf: leaf{set: true, ok: true}}})).Page
	offset := (&decoder{}).paginate(pagination(paginateFile{Offset: object[offsetFile]{leaf: leaf{set: true, ok: true}}})).Offset
	link := (&decoder{}).paginate(pagination(paginateFile{Link: object[linkFile]{leaf: leaf{set: true, ok: true}}})).Link
	incremental := (&decoder{}).incremental(&object[incrementalFile]{leaf: leaf{set: true, ok: true}})
	limit := (&decoder{}).http(&httpFile{RateLimit: object[rateLimitFile]{leaf: leaf{set: true, ok: true}}}, place{}).RateLimit
	check := func(of any, key string, value any) {
		t.Helper()
		typ := reflect.TypeOf(of)
		want := fieldsOf(typ).byName[key].tag.Get("default")
		got := fmt.Sprint(value)
		switch v := value.(type) {
		case time.Duration:
			d, err := parseDuration(want)
			if err != nil || d != v {
				t.Errorf("%T.%s: tag %q, loaded %s", of, key, want, got)
			}
			return
		case byteSize:
			n, err := parseSize(want)
			got, want = strconv.FormatInt(int64(v), 10), fmt.Sprint(n, err)
			got += " <nil>"
		}
		if got != want {
			t.Errorf("%T.%s: tag %q, loaded %q", of, key, want, got)
		}
	}
	check(kafkaFile{}, "partitions", p.Kafka.Partitions)
	check(kafkaFile{}, "replication", p.Kafka.Replication)
	check(kafkaFile{}, "raw_retention", p.Kafka.RawRetention)
	check(kafkaFile{}, "retention", p.Kafka.Retention)
	check(kafkaFile{}, "max_record_bytes", byteSize(p.Kafka.MaxRecordBytes))
	check(httpFile{}, "timeout", in.HTTP.Timeout)
	check(retryFile{}, "initial", in.HTTP.Retry.Initial)
	check(retryFile{}, "max", in.HTTP.Retry.Max)
	check(retryFile{}, "attempts", in.HTTP.Retry.Attempts)
	check(rateLimitFile{}, "per", limit.Per)
	check(rateLimitFile{}, "burst", limit.Burst)
	check(ingestSharedFile{}, "every", in.Every)
	check(ingestSharedFile{}, "concurrency", in.Concurrency)
	check(pageFile{}, "start", page.Start)
	check(pageFile{}, "stop", page.Stop.When)
	check(offsetFile{}, "start", offset.Start)
	check(offsetFile{}, "stop", offset.Stop.When)
	check(linkFile{}, "rel", link.Rel)
	check(incrementalFile{}, "lookback", incremental.Lookback)
	check(incrementalFile{}, "format", incremental.Format)
	if !p.Kafka.Embedded || !p.Database.Embedded || p.DataDir != ".millrace/least" || p.Streams[0].Sink.Table != "things" {
		t.Errorf("pipeline %+v", p)
	}
}

type byteSize int64

func pagination(f paginateFile) *choice[paginateFile] {
	return &choice[paginateFile]{leaf: leaf{set: true, ok: true}, v: f}
}
