package file

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) http(f *httpFile, ingest place) pipeline.HTTP {
	h := pipeline.HTTP{
		BaseURL: strings.TrimSuffix(f.BaseURL.s, "/"),
		Timeout: f.Timeout.d,
		Charset: f.Charset.s,
		MaxBody: f.MaxBody.n,
		Retry: pipeline.Retry{
			Initial: f.Retry.v.Initial.d, Max: f.Retry.v.Max.d, Attempts: int(f.Retry.v.Attempts.n),
		},
	}
	d.baseURL(&f.BaseURL, ingest)
	if f.Hosts.ok {
		h.Hosts = f.Hosts.strings()
	}
	for i := range f.Hosts.list {
		if t := &f.Hosts.list[i]; t.ok && !hostName.MatchString(t.s) {
			d.reportf(t.place, "write it as in files.example.com, *.example.com or *", "%s is no host", shown(t.place))
		}
	}
	if f.Charset.ok {
		if _, err := htmlindex.Get(f.Charset.s); err != nil {
			d.reportf(f.Charset.place, "write it as in iso-8859-1", "%s is not a known character set", shown(f.Charset.place))
		}
	}
	if r := &f.Retry.v; h.Retry.Initial > h.Retry.Max {
		at := r.Initial.place
		if !r.Initial.set {
			at = r.Max.place
		}
		d.reportf(at, "", "initial (%s) is above max (%s)", readable(h.Retry.Initial), readable(h.Retry.Max))
	}
	if r := &f.RateLimit.v; f.RateLimit.ok {
		h.RateLimit = &pipeline.RateLimit{Requests: int(r.Requests.n), Per: r.Per.d, Burst: int(r.Burst.n)}
	}
	if t := &f.TLS.v; f.TLS.set {
		h.TLS = d.tls(t, f.TLS.place)
	}
	setBy := map[string]string{}
	h.Auth = d.auth(&f.Auth.v, setBy)
	h.Headers = d.headers(f, setBy)
	return h
}

func (d *decoder) tls(t *tlsFile, at place) *pipeline.TLS {
	if t.CertFile.set != t.KeyFile.set {
		d.reportf(at, "", "cert_file and key_file go together; one is missing")
	}
	return &pipeline.TLS{CAFile: t.CAFile.s, CertFile: t.CertFile.s, KeyFile: t.KeyFile.s, ServerName: t.ServerName.s}
}

// headers builds the constant headers. setBy has those that are set otherwise, and by what.
func (d *decoder) headers(f *httpFile, setBy map[string]string) map[string]pipeline.Secret {
	if len(f.Headers.entries) == 0 {
		return nil
	}
	out := map[string]pipeline.Secret{}
	for i := range f.Headers.entries {
		e := &f.Headers.entries[i]
		d.headerName(e.place, e.name)
		d.headerValue(&e.v)
		name := http.CanonicalHeaderKey(e.name)
		if by, twice := setBy[name]; twice {
			d.reportAt(e.key, 0, 0, e.path, "leave one of them out", "the header is set by "+by+" too")
		}
		setBy[name] = e.name
		out[e.name] = e.v.v
	}
	return out
}

// hostName is a host without a port, or a pattern of them.
var hostName = regexp.MustCompile(`^(\*|(\*\.)?[A-Za-z0-9_.-]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$`)

// What a header may hold: RFC 9110, sections 5.1 and 5.5.
var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[^\x00-\x08\x0a-\x1f\x7f]*$`)
)

func (d *decoder) headerName(p place, name string) {
	if !headerName.MatchString(name) {
		d.reportAt(p.key, 0, 0, p.path, "", quote(name)+" cannot be the name of a header")
	}
}

func (d *decoder) headerValue(s *secret) {
	if s.ok && !headerValue.MatchString(s.v.Reveal()) {
		d.reportf(s.place, "", "the value has characters that a header cannot hold, such as a line break")
	}
}

func (d *decoder) baseURL(t *text, ingest place) {
	const hint = "write it as in https://api.example.com/v2"
	if !t.set && d.meant["base_url"] {
		return // what was meant for it is reported
	}
	if !t.set {
		d.reportf(ingest, hint, `"base_url" is missing, here, in defaults.ingest and in http`)
		return
	}
	if !t.ok {
		return
	}
	u, err := url.Parse(t.s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.reportf(t.place, hint, "%s is not an absolute http or https URL", d.urlShown(t))
	case u.User != nil:
		d.reportf(t.place, "put the credentials into auth or headers, where they stay hidden", "the URL holds credentials")
	case u.RawQuery != "" || u.Fragment != "":
		d.reportf(t.place, "put parameters into query", "%s has more than a path", d.urlShown(t))
	}
}

// urlShown leaves out what may be credentials.
func (d *decoder) urlShown(t *text) string {
	if strings.ContainsAny(t.node.Value, "@?") {
		return "this"
	}
	return shown(t.place)
}
