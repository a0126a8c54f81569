package topics

import (
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

// LetterBytes is how many bytes a letter may be larger than its origin: reason, id and the like. Dead-letter topics, and
// the batches of whoever writes to them, are as much larger than the largest record.
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
