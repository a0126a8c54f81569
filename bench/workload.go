package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"os"
	"strconv"
)

// extract is 12,000 consecutive records of the flights from New York City in 2013, by the Bureau of
// Transportation Statistics; a work of the United States government, in the public domain.
//
//go:embed flights.ndjson.gz
var extract []byte

// flights is the standard workload: records of about 300 bytes, in copies whose keys differ by the year in
// time_hour, so that both the size of a record and the order of the keys stay as they were recorded.
type flights struct {
	lines   []line
	records int // in all copies
}

// line is a record cut around the year of its time_hour: head + year + tail.
type line struct {
	head, tail       []byte
	carrier          []byte // JSON values
	flight, timeTail []byte
	year             int
	departed         bool // dep_time is not null: the workload's filter lets it through
}

// loadFlights reads a file of newline-delimited JSON, gzipped, or the extract that is shipped if path is empty.
func loadFlights(path string, records int) (*flights, error) {
	source := io.Reader(bytes.NewReader(extract))
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		source = f
	}
	unzipped, err := gzip.NewReader(source)
	if err != nil {
		return nil, fmt.Errorf("flights: %w", err)
	}
	w := &flights{records: records}
	scanner := bufio.NewScanner(unzipped)
	for scanner.Scan() && len(w.lines) < records {
		l, err := cut(bytes.Clone(scanner.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("flights: line %d: %w", len(w.lines)+1, err)
		}
		w.lines = append(w.lines, l)
	}
	if w.records == 0 {
		w.records = len(w.lines)
	}
	return w, scanner.Err()
}

func cut(record []byte) (line, error) {
	const mark = `"time_hour":"`
	at := bytes.Index(record, []byte(mark))
	if at < 0 {
		return line{}, fmt.Errorf("no %s in %s", mark, record)
	}
	year := at + len(mark)
	n, err := strconv.Atoi(string(record[year : year+4]))
	if err != nil {
		return line{}, err
	}
	l := line{year: n, head: record[:year], tail: record[year+4:], departed: !bytes.Contains(record, []byte(`"dep_time":null`))}
	l.timeTail = l.tail[:bytes.IndexByte(l.tail, '"')+1]
	l.carrier, l.flight = value(record, `"carrier":`), value(record, `"flight":`)
	return l, nil
}

// value is the JSON value after a name, for values without commas.
func value(record []byte, name string) []byte {
	rest := record[bytes.Index(record, []byte(name))+len(name):]
	return rest[:bytes.IndexByte(rest, ',')]
}

// appendRecord appends record i of 0 to records-1.
func (w *flights) appendRecord(dst []byte, i int) []byte {
	l := w.lines[i%len(w.lines)]
	dst = append(dst, l.head...)
	dst = strconv.AppendInt(dst, int64(l.year+i/len(w.lines)), 10)
	return append(dst, l.tail...)
}

// appendKey appends the raw key of record i: time_hour, carrier and flight.
func (w *flights) appendKey(dst []byte, i int) []byte {
	l := w.lines[i%len(w.lines)]
	dst = append(dst, `["`...)
	dst = strconv.AppendInt(dst, int64(l.year+i/len(w.lines)), 10)
	dst = append(dst, l.timeTail...)
	dst = append(append(dst, ','), l.carrier...)
	dst = append(append(dst, ','), l.flight...)
	return append(dst, ']')
}

// rows is how many records have a row.
func (w *flights) rows() int {
	n := 0
	for i := range w.records {
		if w.lines[i%len(w.lines)].departed {
			n++
		}
	}
	return n
}
