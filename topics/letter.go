package topics

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Letter says why a record could not be processed or stored. Its record in the dead-letter topic has the key,
// the value and the headers of the origin besides.
type Letter struct {
	Stage      string // "ingest", "processor" or "sink"
	Generation uint16
	Step       string // where it was refused, as a path in the pipeline file
	Reason     string // without secrets
	Attempt    int    // 1 for the first
}

// LetterID names the origin of a dead letter. Two letters with the same id are the same letter, sent twice.
func LetterID(stage, topic string, epoch uint16, partition int32, offset int64) string {
	return fmt.Sprintf("%s:%s:%d:%d:%d", stage, topic, epoch, partition, offset)
}

// LetterBytes is how many bytes a letter may be larger than its origin: reason, id and the like. Dead-letter topics,
// and the batches of whoever writes to them, are as much larger than the largest record.
const LetterBytes = 64 << 10

// MaxReasonBytes is how much of a reason a letter keeps: an error may quote the record.
const MaxReasonBytes = 2048

// Record is the letter of origin in the dead-letter topic, in the partition of origin. id is its [LetterID].
func (l Letter) Record(topic, id string, origin *kgo.Record) *kgo.Record {
	reason := l.Reason
	if len(reason) > MaxReasonBytes {
		reason = strings.ToValidUTF8(reason[:MaxReasonBytes], "")
	}
	headers := make([]kgo.RecordHeader, 0, len(origin.Headers)+5)
	for _, h := range origin.Headers {
		switch h.Key {
		case HeaderID, HeaderGeneration, HeaderStep, HeaderReason, HeaderAttempt:
		default:
			headers = append(headers, h)
		}
	}
	headers = append(headers,
		text(HeaderID, id),
		text(HeaderGeneration, strconv.Itoa(int(l.Generation))),
		text(HeaderStep, l.Step),
		text(HeaderReason, reason),
		text(HeaderAttempt, strconv.Itoa(max(l.Attempt, 1))))
	return &kgo.Record{Topic: topic, Partition: origin.Partition, Key: origin.Key, Value: origin.Value, Headers: headers}
}

// Origin is where the record of a letter was. An ingest letter has no position: its record never was in a topic.
type Origin struct {
	ID        string // equal for two letters that are the same
	Topic     string // raw or processed; empty for ingest
	Epoch     uint16
	Partition int32
	Offset    int64
}

// ParseLetter reads a record of a dead-letter topic: the inverse of [Letter.Record] and [LetterID]. It returns an error
// where a header is missing or is none of ours.
func ParseLetter(r *kgo.Record) (Letter, Origin, error) {
	header := func(name string) string {
		value, _ := Header(r, name)
		return string(value)
	}
	origin := Origin{ID: header(HeaderID)}
	generation, err1 := strconv.ParseUint(header(HeaderGeneration), 10, 16)
	attempt, err2 := strconv.Atoi(header(HeaderAttempt))
	stage, rest, _ := strings.Cut(origin.ID, ":")
	err3 := origin.parse(stage, rest)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Letter{}, Origin{}, fmt.Errorf("headers of the letter with id %q: %w", origin.ID, err)
	}
	return Letter{stage, uint16(generation), header(HeaderStep), header(HeaderReason), attempt}, origin, nil
}

// parse reads topic:epoch:partition:offset.
func (o *Origin) parse(stage, position string) error {
	if stage == "ingest" {
		return nil
	}
	fields := strings.Split(position, ":")
	if len(fields) != 4 {
		return errors.New("not stage:topic:epoch:partition:offset")
	}
	epoch, err1 := strconv.ParseUint(fields[1], 10, 16)
	partition, err2 := strconv.ParseInt(fields[2], 10, 32)
	offset, err3 := strconv.ParseInt(fields[3], 10, 64)
	o.Topic, o.Epoch, o.Partition, o.Offset = fields[0], uint16(epoch), int32(partition), offset
	return errors.Join(err1, err2, err3)
}
