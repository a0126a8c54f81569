package ingest

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// rawRecords makes Kafka records of a page's records. Their headers are the same but for the ordinal and the version.
type rawRecords struct {
	*rawSpace

	topic   string
	headers []kgo.RecordHeader // with place for both
	page    int                // index of mr-page
	source  int                // index of mr-source
	prefix  string
}

// rawSpace is allocated for many records at once; what a page leaves of it, the next one takes.
type rawSpace struct {
	unused   []kgo.Record
	headroom []kgo.RecordHeader
	text     []byte
}

const recordBatch = 128 // records allocated at once

func newRawRecords(p *page, space *rawSpace) *rawRecords {
	h := topics.RawHeaders{HasSource: true, PageID: p.id, Slice: p.slice.name, Time: p.answer.Time, URL: p.url}
	w := &rawRecords{rawSpace: space, topic: topics.Raw(p.slice.in.p.Name, p.slice.stream.Name), headers: h.Append(nil), prefix: p.id + ":"}
	for i, header := range w.headers {
		switch header.Key {
		case topics.HeaderPage:
			w.page = i
		case topics.HeaderSource:
			w.source = i
		}
	}
	return w
}

// record is the Kafka record of the record with that ordinal.
func (w *rawRecords) record(ordinal int, rec *record) *kgo.Record {
	if len(w.unused) == 0 {
		w.unused = make([]kgo.Record, recordBatch)
	}
	if cap(w.headroom)-len(w.headroom) < len(w.headers) {
		w.headroom = make([]kgo.RecordHeader, 0, recordBatch*len(w.headers))
	}
	if most := len(w.prefix) + 2*20; cap(w.text)-len(w.text) < most { // two numbers
		w.text = make([]byte, 0, recordBatch*(len(w.prefix)+24)+most)
	}
	r := &w.unused[0]
	w.unused = w.unused[1:]
	start := len(w.headroom)
	for i, h := range w.headers {
		switch i {
		case w.page:
			h.Value = w.appended(func(b []byte) []byte { return strconv.AppendInt(append(b, w.prefix...), int64(ordinal), 10) })
		case w.source:
			if !rec.hasSource {
				continue
			}
			h.Value = w.appended(func(b []byte) []byte { return strconv.AppendInt(b, rec.source, 10) })
		}
		w.headroom = append(w.headroom, h)
	}
	headers := w.headroom[start:len(w.headroom):len(w.headroom)]
	*r = kgo.Record{Topic: w.topic, Key: rec.key, Value: rec.value, Headers: headers}
	return r
}

// appended returns what f appended to the text.
func (w *rawRecords) appended(f func([]byte) []byte) []byte {
	start := len(w.text)
	w.text = f(w.text)
	return w.text[start:len(w.text):len(w.text)]
}
