package topics_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// The expected partitions come from Kafka's own Utils.murmur2 test vectors:
// clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2.
func TestPartitionIsJavas(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{1, 6, 32, 1000} {
			if got, want := topics.Partition([]byte(key), n), hash&0x7fffffff%n; got != want {
				t.Errorf("Partition(%q, %d) = %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestVersionOrder(t *testing.T) {
	ascending := []topics.Version{
		topics.NewVersion(-1<<63, 65535, topics.MaxOffset, 65535),
		topics.NewVersion(-1, 0, 0, 0),
		topics.NewVersion(0, 0, 0, 1),
		topics.NewVersion(0, 0, 0, 2),
		topics.NewVersion(0, 0, 1, 1),
		topics.NewVersion(0, 0, 256, 0),
		topics.NewVersion(0, 1, 0, 0),
		topics.NewVersion(1, 0, 0, 0),
		topics.NewVersion(1<<63-1, 0, 0, 0),
	}
	for i := 1; i < len(ascending); i++ {
		a, b := ascending[i-1], ascending[i]
		if bytes.Compare(a[:], b[:]) >= 0 {
			t.Errorf("version %d (%s) is not below version %d (%s)", i-1, a, i, b)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add(int64(-5), uint16(1), int64(7), uint16(9))
	f.Fuzz(func(t *testing.T, source int64, epoch uint16, offset int64, generation uint16) {
		offset &= topics.MaxOffset
		v := topics.NewVersion(source, epoch, offset, generation)
		back, err := topics.ParseVersion(v[:])
		if err != nil || back.Source() != source || back.Epoch() != epoch || back.Offset() != offset || back.Generation() != generation {
			t.Errorf("%d/%d/%d/%d came back as %d/%d/%d/%d (%v)", source, epoch, offset, generation,
				back.Source(), back.Epoch(), back.Offset(), back.Generation(), err)
		}
	})
}

func TestRawHeadersRoundTrip(t *testing.T) {
	for name, want := range map[string]topics.RawHeaders{
		"least": {PageID: "0", Time: time.UnixMilli(1)},
		"all": {
			Source: -9, HasSource: true, PageID: "p:1", Ordinal: 41, Slice: "eu",
			Time: time.UnixMilli(1_700_000_000_123), URL: "https://api.example.com/a?b=c",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &kgo.Record{Offset: 77, Headers: want.Append(nil)}
			got, err := topics.ParseRawHeaders(r)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			v, err := topics.RawVersion(r, 3, 2)
			if want := topics.NewVersion(want.Source, 3, 77, 2); err != nil || v != want {
				t.Errorf("RawVersion = %s, %v; want %s", v, err, want)
			}
		})
	}
}

func TestMalformedHeaders(t *testing.T) {
	for _, h := range []kgo.RecordHeader{
		{Key: topics.HeaderSource, Value: []byte("1.5")},
		{Key: topics.HeaderPage, Value: []byte("7")},
		{Key: topics.HeaderTime, Value: []byte("now")},
	} {
		if _, err := topics.ParseRawHeaders(&kgo.Record{Headers: []kgo.RecordHeader{h}}); err == nil {
			t.Errorf("%s: %q was accepted", h.Key, h.Value)
		}
	}
	if _, err := topics.ParseVersion([]byte("short")); err == nil {
		t.Error("a version of 5 bytes was accepted")
	}
}

func TestAppendKey(t *testing.T) {
	for _, c := range []struct {
		values []jsontext.Value
		want   string
	}{
		{[]jsontext.Value{jsontext.Value(`"a\"b"`)}, `a"b`},
		{[]jsontext.Value{jsontext.Value(`9007199254740993`)}, `9007199254740993`},
		{[]jsontext.Value{jsontext.Value(`"x"`), jsontext.Value(`1`), jsontext.Value(`null`)}, `["x",1,null]`},
		{[]jsontext.Value{jsontext.Value(`7E+3`)}, `7000`},
		{[]jsontext.Value{jsontext.Value(`"x"`), jsontext.Value(`"9000"`), jsontext.Value(`"007"`), jsontext.Value(`"7.0"`)}, `["x",9000,"007","7.0"]`},
		{[]jsontext.Value{jsontext.Value(`"7E+3"`)}, `7E+3`},
		{[]jsontext.Value{jsontext.Value(`-0.50`), jsontext.Value(`true`)}, `[-0.5,true]`},
		{[]jsontext.Value{jsontext.Value(`"\u0041"`), jsontext.Value(`"é"`)}, `["A","é"]`},
	} {
		got, err := topics.AppendKey(nil, c.values...)
		if err != nil || string(got) != c.want {
			t.Errorf("AppendKey(%s) = %s, %v; want %s", c.values, got, err, c.want)
		}
	}
}

func TestLetterReplacesEarlierLetter(t *testing.T) {
	origin := &kgo.Record{
		Topic: "p.s.raw", Partition: 4, Offset: 10, Key: []byte("k"), Value: []byte("v"),
		Headers: []kgo.RecordHeader{{Key: topics.HeaderPage, Value: []byte("1:2")}, {Key: topics.HeaderReason, Value: []byte("old")}},
	}
	l := topics.Letter{Stage: "processor", Generation: 1, Step: "process[0].filter", Reason: string(make([]byte, 3*topics.MaxReasonBytes))}
	r := l.Record("p.s.dlq", topics.LetterID("processor", origin.Topic, 0, origin.Partition, origin.Offset), origin)
	reason, _ := topics.Header(r, topics.HeaderReason)
	id, _ := topics.Header(r, topics.HeaderID)
	attempt, _ := topics.Header(r, topics.HeaderAttempt)
	if len(reason) != topics.MaxReasonBytes || string(id) != "processor:p.s.raw:0:4:10" || string(attempt) != "1" ||
		r.Partition != 4 || string(r.Key) != "k" || string(r.Value) != "v" || len(r.Headers) != 6 {
		t.Errorf("letter %+v", r)
	}
}

// TestRaisedVersionsAreHigherThanAllBefore: but for the source's version, which decides first.
func TestRaisedVersionsAreHigherThanAllBefore(t *testing.T) {
	old, first := topics.NewVersion(7, 1, topics.MaxOffset, 9), topics.NewVersion(7, 0, 0, 1)
	raised := first.Raised(2)
	if bytes.Compare(raised[:], old[:]) <= 0 || raised != topics.NewVersion(7, 2, 0, 1) || first.Raised(0) != first {
		t.Errorf("%s raised by two is %s; %s is of the epoch before", first, raised, old)
	}
	if lower := topics.NewVersion(6, 0, 0, 1).Raised(9); bytes.Compare(lower[:], old[:]) >= 0 {
		t.Errorf("%s, of an older version of the source, is above %s", lower, old)
	}
}
