package ingest

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/ingest/convert"
	"github.com/millrace-io/millrace/pipeline"
)

// What a body was that has become JSON.
const (
	wasCSV = "csv"
	wasXML = "xml"

	wasEvents = "events" // one for each line
)

// converter gives JSON in the place of CSV and XML, where the pipeline file says that it is that, or the Content-Type
// does and records can be found in it; nil: a stream needs none.
func converter(in *pipeline.Ingest) func(io.Reader, http.Header, bool) (io.Reader, string) {
	if in.BodyFormat == "json" || in.BodyFormat == "ndjson" {
		return nil
	}
	csv := convert.CSV{Names: in.CSV.Names}
	if in.CSV.Delimiter != "" {
		csv.Delimiter, _ = utf8.DecodeRuneInString(in.CSV.Delimiter)
	}
	return func(body io.Reader, h http.Header, known bool) (io.Reader, string) {
		format := in.BodyFormat
		if format == "" {
			format = formatOf(in, h)
		}
		switch format {
		case wasCSV:
			return csv.Reader(body), wasCSV
		case wasXML:
			return convert.XML{Records: in.Records, UTF8: known}.Reader(body), wasXML
		}
		return body, ""
	}
}

// formatOf is what a Content-Type says.
func formatOf(in *pipeline.Ingest, h http.Header) string {
	contentType := strings.ToLower(h.Get("Content-Type"))
	if !strings.Contains(contentType, "csv") && !strings.Contains(contentType, "xml") {
		return ""
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case slices.Contains([]string{"text/csv", "application/csv"}, kind) && len(in.Records) == 0 && in.Shape.Kind == "":
		return wasCSV
	case len(in.Records) > 0 && (kind == "application/xml" || kind == "text/xml" || strings.HasSuffix(kind, "+xml")):
		return wasXML
	}
	return ""
}
