package topics

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome is what has become of a refused record.
type Outcome string

// The outcomes.
const (
	Retried      Outcome = "retried"       // it was processed again, and is in the table
	RefusedAgain Outcome = "refused again" // it was processed again, and there is another letter
	Superseded   Outcome = "superseded"    // its key has a newer record, which was processed again in its place
	Edited       Outcome = "edited"        // somebody has edited it, and written it to the raw topic again
	Discarded    Outcome = "discarded"     // somebody has decided that it is not wanted
)

// Closing closes the letters of a refused record.
type Closing struct {
	Outcome    Outcome
	Generation uint16 // the letters up to this generation are closed; those of a discarded record all are
	By, Why    string // for people; may be empty
}

// Record is the closing record for a letter, whose record is given: in the dead-letter topic, behind the letter.
func (c Closing) Record(letter *kgo.Record) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, 6)
	for _, h := range letter.Headers {
		switch h.Key {
		case HeaderID, HeaderVersion, HeaderAttempt:
			headers = append(headers, h)
		}
	}
	headers = append(headers, text(HeaderGeneration, strconv.Itoa(int(c.Generation))), text(HeaderClosed, string(c.Outcome)),
		text(HeaderBy, c.By), text(HeaderReason, c.Why))
	return &kgo.Record{Topic: letter.Topic, Partition: letter.Partition, Key: letter.Key, Headers: headers}
}

// ParseClosing reads [Closing.Record]; ok is false for a letter.
func ParseClosing(r *kgo.Record) (c Closing, ok bool) {
	outcome, ok := Header(r, HeaderClosed)
	if !ok {
		return c, false
	}
	header := func(name string) string {
		value, _ := Header(r, name)
		return string(value)
	}
	generation, err := strconv.ParseUint(header(HeaderGeneration), 10, 16)
	return Closing{Outcome(outcome), uint16(generation), header(HeaderBy), header(HeaderReason)}, err == nil
}

// RawPosition is where in a raw topic a refused record is.
type RawPosition struct {
	InRaw     bool // false: it never was in a raw topic, or it is not known where
	Epoch     uint16
	Partition int32
	Offset    int64
}

func (p RawPosition) String() string { return fmt.Sprintf("%d:%d:%d", p.Epoch, p.Partition, p.Offset) }

// LetterPosition returns the raw record that a letter is of, whichever stage refused it. origin is the letter's.
func LetterPosition(r *kgo.Record, origin Origin) RawPosition {
	if origin.Topic == "" {
		return RawPosition{}
	}
	header, _ := Header(r, HeaderVersion)
	if !strings.HasPrefix(origin.ID, "sink:") {
		return RawPosition{true, origin.Epoch, origin.Partition, origin.Offset}
	}
	version, err := ParseVersion(header)
	if err != nil {
		return RawPosition{}
	}
	return RawPosition{true, version.Epoch(), origin.Partition, version.Offset()}
}
