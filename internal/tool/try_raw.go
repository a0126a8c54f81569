package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/topics"
)

// ofTopic reports whether the records are those of the raw topic.
func (f *tryFlags) ofTopic() bool { return f.raw || f.offset != "" || f.key != "" || f.since != "" }

// errEnough ends reading.
var errEnough = errors.New("enough")

var oneOffset = regexp.MustCompile(`^\d+:\d+$`)

// checkTopic says what is wrong with the flags about the raw topic.
func (f *tryFlags) checkTopic() error {
	switch {
	case f.record != "-":
		return errors.New("--record is a file, and --raw, --offset, --key and --since are of the raw topic: give one of them")
	case f.limit < 1:
		return errors.New("--limit must be 1 or more")
	case f.offset != "" && (f.key != "" || f.since != ""):
		return errors.New("--offset is one record: it goes with neither --key nor --since")
	case f.offset != "" && !oneOffset.MatchString(f.offset):
		return fmt.Errorf("--offset: %q; it must be a partition and an offset, such as 3:42", f.offset)
	}
	return nil
}

// rawRecords reads those records of a stream's raw topic that the flags ask for. It only reads.
func (f *tryFlags) rawRecords(ctx context.Context, path, stream string) ([]tried, error) {
	if err := f.checkTopic(); err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	o, err := operate(ctx, path, []string{stream})
	if err != nil {
		return nil, err
	}
	defer o.close()
	topic, tail := topics.Raw(o.Name, stream), tailFlags{key: f.key, from: f.since}
	switch {
	case f.offset != "":
		tail.from = onlyFrom(o.Kafka.Partitions, f.offset)
	case f.key != "" && f.since == "":
		tail.from = onlyFrom(o.Kafka.Partitions, fmt.Sprintf("%d:0", topics.Partition([]byte(f.key), o.Kafka.Partitions)))
	}
	var out []tried
	err = tail.each(ctx, o, topic, func(r *kgo.Record) error {
		at := fmt.Sprintf("%d:%d", r.Partition, r.Offset)
		if f.offset != "" && at != f.offset {
			return nil
		}
		headers, _ := topics.ParseRawHeaders(r)
		out = append(out, tried{value: bytes.Clone(r.Value), slice: headers.Slice, key: string(r.Key), at: at})
		if f.offset != "" || len(out) == f.limit && f.since+f.key != "" {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(out) > f.limit { // the last ones
		out = out[len(out)-f.limit:]
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no such record: `millrace topics tail %s %s` shows what there is", topic, path, stream)
	}
	return out, nil
}

// onlyFrom begins at an offset of one partition, as partition:offset, and at the end of all others.
func onlyFrom(partitions int32, at string) string {
	name, _, _ := strings.Cut(at, ":")
	all := []string{at}
	for n := range partitions {
		if other := strconv.Itoa(int(n)); other != name {
			all = append(all, other+":"+strconv.FormatInt(math.MaxInt64, 10))
		}
	}
	return strings.Join(all, ",")
}
