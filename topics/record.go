package topics

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of raw, processed and dead-letter records. Numbers are decimal text, but for mr-version.
const (
	HeaderSource = "mr-source"  // raw: the source's version, int64; absent: none
	HeaderPage   = "mr-page"    // raw: page id ":" ordinal of the record in the page
	HeaderSlice  = "mr-slice"   // raw: absent for the slice ""
	HeaderTime   = "mr-time"    // raw: when the answer was complete, Unix ms
	HeaderURL    = "mr-url"     // raw: the request, without secrets
	HeaderEdit   = "mr-edit-of" // raw: mr-id of the letter whose record it is, edited
	HeaderWas    = "mr-was"     // raw: partition ":" offset before the topic was given more partitions

	HeaderVersion = "mr-version" // processed: a Version
	HeaderPK      = "mr-pk"      // processed: JSON array of the key columns' values, with null values only

	HeaderID         = "mr-id"         // dlq: stage:topic:epoch:partition:offset of the origin
	HeaderGeneration = "mr-generation" // dlq
	HeaderStep       = "mr-step"       // dlq: which step refused it, for example "process[1].map.total"
	HeaderReason     = "mr-reason"     // dlq
	// HeaderAttempt, of dlq: 1 for the first letter of an origin; of processed: of what a retry made, if it is not 1.
	HeaderAttempt = "mr-attempt"
	HeaderClosed  = "mr-closed" // dlq: the Outcome; the record is no letter, but closes one
	HeaderBy      = "mr-by"     // dlq: who closed it, for people
)

// Header returns the value of the first header of that name.
func Header(r *kgo.Record, name string) (value []byte, ok bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// RawHeaders is what ingest says of a raw record. Page, slice, time and URL are the same for all records of
// a page.
type RawHeaders struct {
	Source    int64 // valid if HasSource
	HasSource bool
	PageID    string // may hold ":"
	Ordinal   int    // from 0
	Slice     string
	Time      time.Time // to the millisecond
	URL       string    // without secrets
}

// Append adds h to headers.
func (h RawHeaders) Append(headers []kgo.RecordHeader) []kgo.RecordHeader {
	if h.HasSource {
		headers = append(headers, number(HeaderSource, h.Source))
	}
	headers = append(headers, text(HeaderPage, h.PageID+":"+strconv.Itoa(h.Ordinal)))
	if h.Slice != "" {
		headers = append(headers, text(HeaderSlice, h.Slice))
	}
	return append(headers, number(HeaderTime, h.Time.UnixMilli()), text(HeaderURL, h.URL))
}

// ParseRawHeaders reads back what [RawHeaders.Append] wrote. A record that another program produced may have
// none of the headers; a header that is there must be well formed.
func ParseRawHeaders(r *kgo.Record) (h RawHeaders, err error) {
	for _, header := range r.Headers {
		var n int64
		switch value := string(header.Value); header.Key {
		case HeaderSource:
			h.Source, err = strconv.ParseInt(value, 10, 64)
			h.HasSource = true
		case HeaderPage:
			i := strings.LastIndexByte(value, ':')
			if i < 0 {
				return h, fmt.Errorf("%s: %q has no ordinal", HeaderPage, value)
			}
			h.PageID = value[:i]
			h.Ordinal, err = strconv.Atoi(value[i+1:])
		case HeaderSlice:
			h.Slice = value
		case HeaderTime:
			n, err = strconv.ParseInt(value, 10, 64)
			h.Time = time.UnixMilli(n)
		case HeaderURL:
			h.URL = value
		}
		if err != nil {
			return h, fmt.Errorf("%s: %w", header.Key, err)
		}
	}
	return h, nil
}

// RawVersion is the version of a record of a raw topic of that epoch under a generation of the logic. It reads only the
// header that it needs, and allocates nothing.
func RawVersion(r *kgo.Record, epoch, generation uint16) (Version, error) {
	var source int64
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Key == HeaderSource {
			var err error
			if source, err = strconv.ParseInt(string(h.Value), 10, 64); err != nil {
				return Version{}, fmt.Errorf("%s: %w", HeaderSource, err)
			}
		}
	}
	return NewVersion(source, epoch, r.Offset, generation), nil
}

func text(name, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: name, Value: []byte(value)}
}

func number(name string, value int64) kgo.RecordHeader {
	return kgo.RecordHeader{Key: name, Value: strconv.AppendInt(nil, value, 10)}
}
