package convert_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/millrace-io/millrace/ingest/convert"
)

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct {
		csv        convert.CSV
		text, want string
		err        string
	}{
		"header":         {convert.CSV{}, "id,name\n1,\"a, \"\"b\"\"\nc\"\r\n2,\n", `{"id":"1","name":"a, \"b\"\nc"}` + "\n" + `{"id":"2","name":""}` + "\n", ""},
		"names":          {convert.CSV{Delimiter: ';', Names: []string{"id", "é"}}, "1;ü\n", `{"id":"1","é":"ü"}` + "\n", ""},
		"only a header":  {convert.CSV{}, "id,name\n", "", ""},
		"nothing":        {convert.CSV{}, "", "", ""},
		"cut off":        {convert.CSV{}, "id,name\n1,a\n2", `{"id":"1","name":"a"}` + "\n", "line 3 has 1 fields"},
		"in a quote":     {convert.CSV{}, "id,name\n1,\"a", "", "CSV"},
		"one name twice": {convert.CSV{}, "id,id\n1,2\n", "", "have the name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(c.csv.Reader(iotest.OneByteReader(strings.NewReader(c.text))))
			if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q (%v), want %q (%s)", got, err, c.want, c.err)
			}
		})
	}
}

func TestXML(t *testing.T) {
	for name, c := range map[string]struct {
		path, text, want string
		err              string
	}{
		"records": {
			"feed.entry", `<?xml version="1.0"?><feed xmlns="urn:a" total="2"><next>x</next><entry id="1"><t>a</t></entry> <entry id="2"><t>b</t><t>c</t></entry><last/></feed>`,
			`{"feed":{"@total":"2","next":"x","entry":[{"@id":"1","t":"a"},{"@id":"2","t":["b","c"]}],"last":""}}`, "",
		},
		"deep, with other elements": {
			"rss.channel.item", `<rss><channel><title>T</title><item>1</item></channel></rss>`, `{"rss":{"channel":{"title":"T","item":["1"]}}}`, "",
		},
		"none":            {"a.b.c", `<a><b n="1"></b></a>`, `{"a":{"b":{"@n":"1","c":[]}}}`, ""},
		"mixed text":      {"a.b", `<a><b k="v"> x <i>y</i> z</b></a>`, `{"a":{"b":[{"@k":"v","i":"y","#text":"x  z"}]}}`, ""},
		"encoding":        {"a.b", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a><b>\xe9</b></a>", `{"a":{"b":["é"]}}`, ""},
		"other root":      {"a.b", `<x><b>1</b></x>`, `{"x":{"b":"1"}}`, ""},
		"cut off":         {"a.b", `<a><b>1</b><b>`, "", "XML"},
		"cut off between": {"a.b", `<a><b>1</b>`, "", "XML"},
		"nothing":         {"a.b", ``, "", "no element"},
		"no entities":     {"a.b", `<!DOCTYPE a [<!ENTITY e "x">]><a><b>&e;</b></a>`, "", "XML"},
	} {
		t.Run(name, func(t *testing.T) {
			x := convert.XML{Records: strings.Split(c.path, ".")}
			got, err := io.ReadAll(x.Reader(iotest.OneByteReader(strings.NewReader(c.text))))
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || err == nil && string(got) != c.want {
				t.Errorf("%s (%v), want %s (%s)", got, err, c.want, c.err)
			}
			if err == nil && !json.Valid(got) {
				t.Errorf("%s is no JSON", got)
			}
		})
	}
}
