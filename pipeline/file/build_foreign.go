package file

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/millrace-io/millrace/pipeline"
)

// level is a place of the file that holds settings of HTTP, from the stream's own to http.
type level struct {
	name string
	http *httpFile
}

// levels are the places in which a stream's settings may stand, the one that wins first. It is asked before they are
// merged.
func levels(f *pipelineFile, in *ingestFile) []level {
	own := in.httpFile
	return []level{{"ingest", &own}, {"defaults.ingest", &f.Defaults.v.Ingest.v.httpFile}, {"http", &f.HTTP.v}}
}

// foreign reports credentials that a stream would inherit although they were written for another API: its base_url
// stands nearer to the stream, and leads to another place.
func (d *decoder) foreign(all []level) {
	base := slices.IndexFunc(all, func(l level) bool { return l.http.BaseURL.ok })
	if base < 0 {
		return
	}
	to, ok := originOf(&all[base].http.BaseURL)
	if !ok {
		return
	}
	d.foreignTo(all, base, to, "auth", "write auth here too, or auth: none", func(h *httpFile) (set, hidden bool) {
		return h.Auth.set, h.Auth.set && !h.Auth.isWord()
	})
	d.foreignTo(all, base, to, "headers", "write headers here too, if only {}", func(h *httpFile) (set, hidden bool) {
		return h.Headers.set, slices.ContainsFunc(h.Headers.entries, func(e entry[secret]) bool { return e.v.refs })
	})
}

func (d *decoder) foreignTo(all []level, base int, to pipeline.Origin, key, hint string, of func(*httpFile) (set, hidden bool)) {
	at := slices.IndexFunc(all, func(l level) bool { set, _ := of(l.http); return set })
	if at <= base {
		return
	}
	if _, hidden := of(all[at].http); !hidden {
		return
	}
	var written pipeline.Origin
	if home := slices.IndexFunc(all[at:], func(l level) bool { return l.http.BaseURL.ok }); home >= 0 {
		var ok bool
		if written, ok = originOf(&all[at+home].http.BaseURL); !ok {
			return
		}
	} else { // written for no API in particular: it is that of the first stream
		if d.firstUse == nil {
			d.firstUse = map[string]pipeline.Origin{}
		}
		name := all[at].name + "." + key
		if _, known := d.firstUse[name]; !known {
			d.firstUse[name] = to
		}
		written = d.firstUse[name]
	}
	if written != to {
		d.reportf(all[base].http.BaseURL.place, hint, "this is another API than %s, and would be sent the %s of %s",
			d.originShown(all, written), key, all[at].name)
	}
}

// originShown is an origin as messages may show it: it is not, if any base_url comes from a reference.
func (d *decoder) originShown(all []level, o pipeline.Origin) string {
	for _, l := range all {
		if l.http.BaseURL.refs {
			return "that of the others"
		}
	}
	return fmt.Sprint(o)
}

func originOf(t *text) (pipeline.Origin, bool) {
	u, err := url.Parse(t.s)
	if err != nil || u.Host == "" {
		return pipeline.Origin{}, false
	}
	return pipeline.OriginOf(u), true
}
