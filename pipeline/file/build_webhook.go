package file

import (
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) webhooks(f *object[webhooksFile]) pipeline.Webhooks {
	if !f.set {
		return pipeline.Webhooks{}
	}
	w := pipeline.Webhooks{Listen: f.v.Listen.s, MaxBody: f.v.MaxBody.n}
	if l := &f.v.Listen; l.ok {
		if _, port, err := net.SplitHostPort(l.s); err != nil || port != "0" && !goodPort(port) {
			d.reportf(l.place, "write it as in :8090 or 127.0.0.1:8090", "%s is not host:port", shown(l.place))
		}
	}
	return w
}

// setKeys are the keys that a mapping has itself.
func setKeys(in *ingestFile) []string {
	v := reflect.ValueOf(in).Elem()
	fields := fieldsOf(v.Type())
	return slices.DeleteFunc(slices.Clone(fields.names), func(name string) bool {
		f, ok := reflect.TypeAssert[field](v.FieldByIndex(fields.byName[name].index).Addr())
		return !ok || !f.isSet()
	})
}

// ofDelivered are the keys of ingest that say something of records that are delivered.
var ofDelivered = []string{"webhook", "records", "key", "version", "time_zone", "unreadable", "deletes"}

// delivered builds the ingest of a stream that is delivered. own are the keys that it has itself.
func (d *decoder) delivered(f *ingestFile, at place, own []string) pipeline.Ingest {
	for _, name := range own {
		if name != "path" && !slices.Contains(ofDelivered, name) { // both are reported
			d.reportf(at, "leave it out; of a delivered stream count: "+strings.Join(ofDelivered, ", "),
				"%s says how something is asked for, and of webhook nothing is asked for", name)
		}
	}
	in := pipeline.Ingest{ErrorWhen: "false", Unreadable: f.Unreadable.s, TimeZone: d.timeZone(&f.TimeZone), Webhook: d.webhook(&f.Webhook.v)}
	in.Key = d.key(&f.Key, at)
	f.Incremental = object[incrementalFile]{}
	in.Version, in.VersionRule = d.version(f)
	if in.VersionRule.Missing == "newest" {
		d.reportf(f.Version.place, "", "missing: newest needs what came before, which is not known of deliveries")
	}
	d.onlyWhen(f, &in, slices.Contains(own, "deletes"))
	in.Records, _, in.Shape = d.records(f)
	if !f.Records.set {
		in.Shape.Kind = pipeline.ShapeObject // the delivery
	}
	return in
}

// onlyWhen builds what says of itself that it was deleted: nothing is ever read as a whole. Others may share more,
// which does not count.
func (d *decoder) onlyWhen(f *ingestFile, in *pipeline.Ingest, own bool) {
	if !own {
		f.Deletes = choice[deletesFile]{}
		return
	}
	if d.deletes(f, in) != nil || f.Deletes.v.Resource.set {
		d.reportf(f.Deletes.place, "leave it out, or say when", "nothing is read as a whole here, so nothing tells what is gone but the records")
	}
}

func (d *decoder) webhook(f *webhookFile) *pipeline.Webhook {
	w := &pipeline.Webhook{
		Path: f.Path.s, When: f.When.s, Type: f.Type.s, TypeAt: f.TypeAt.fields, ID: f.ID.s, IDAt: f.IDAt.fields,
		Verify: d.signature(&f.Verify),
	}
	if f.Types.ok {
		w.Types = f.Types.strings()
	}
	if f.Deletes.ok {
		w.Deletes = f.Deletes.strings()
	}
	d.told(f, w)
	if f.Path.ok && (!strings.HasPrefix(f.Path.s, "/") || strings.ContainsAny(f.Path.s, "?#")) {
		d.reportf(f.Path.place, "write it as in /hooks/github", "%s is no path", shown(f.Path.place))
	}
	d.condition(&f.When)
	return w
}

// told sets where a sender that is known tells the type and the id of a delivery.
func (d *decoder) told(f *webhookFile, w *pipeline.Webhook) {
	of := pipeline.Webhook{}
	switch v := &f.Verify.v; {
	case v.GitHub.set:
		of.Type, of.ID = "X-GitHub-Event", "X-GitHub-Delivery"
	case v.Shopify.set:
		of.Type, of.ID = "X-Shopify-Topic", "X-Shopify-Webhook-Id"
	case v.Stripe.set:
		of.TypeAt, of.IDAt = []string{"type"}, []string{"id"}
	}
	if !f.Type.set && !f.TypeAt.set {
		w.Type, w.TypeAt = of.Type, of.TypeAt
	}
	if !f.ID.set && !f.IDAt.set {
		w.ID, w.IDAt = of.ID, of.IDAt
	}
	for _, both := range [][2]*text{{&f.Type, &f.TypeAt.text}, {&f.ID, &f.IDAt.text}} {
		if both[0].set && both[1].set {
			d.reportf(both[1].place, "keep one of them", "it is in a header, or in a field of the body")
		}
		if both[0].ok {
			d.headerName(both[0].place, both[0].s)
		}
	}
	if at := firstOf(f.Types, f.Deletes); at != nil && w.Type == "" && w.TypeAt == nil {
		d.reportf(*at, "set type_header or type_field", "it is not known where a delivery tells its type")
	}
}

// firstOf is the place of the first that is there.
func firstOf(all ...texts) *place {
	for i := range all {
		if all[i].set {
			return &all[i].place
		}
	}
	return nil
}

// signature builds how deliveries are signed.
func (d *decoder) signature(c *choice[verifyFile]) *pipeline.Signature {
	f := &c.v
	if c.isWord() || !c.ok {
		return nil
	}
	s := &pipeline.Signature{Hash: "sha256", Encoding: "hex", Tolerance: f.Tolerance.d}
	switch {
	case f.GitHub.set:
		s.Header, s.Prefix, s.Secrets = "X-Hub-Signature-256", "sha256=", f.GitHub.all()
	case f.Stripe.set:
		s.Header, s.Prefix, s.Timestamp, s.Signed, s.Secrets = "Stripe-Signature", "v1=", "t", "{t}.{body}", f.Stripe.all()
	case f.Shopify.set:
		s.Header, s.Encoding, s.Secrets = "X-Shopify-Hmac-Sha256", "base64", f.Shopify.all()
	case f.HMAC.set:
		h := &f.HMAC.v
		s.Header, s.Prefix, s.Hash, s.Encoding, s.Signed = h.Header.s, h.Prefix.s, h.Hash.s, h.Encoding.s, h.Signed.s
		s.Timestamp, s.Secrets, s.Base64Key = h.Timestamp.s, h.Secret.all(), h.SecretIn.s == "base64"
		d.general(h)
	}
	if f.Tolerance.set && s.Timestamp == "" {
		d.reportf(f.Tolerance.place, "", "tolerance is of signatures with a time, and this one has none")
	}
	return s
}

// general checks the general form of a signature.
func (d *decoder) general(h *hmacFile) {
	if h.Header.ok {
		d.headerName(h.Header.place, h.Header.s)
	}
	names, err := pipeline.SignedNames(h.Signed.s)
	switch {
	case err != nil && !h.Signed.set:
	case err != nil:
		d.reportf(h.Signed.place, "write it as in {X-Timestamp}.{body}", "%v", err)
	case h.Timestamp.ok && !slices.ContainsFunc(names, func(name string) bool { return http.CanonicalHeaderKey(name) == http.CanonicalHeaderKey(h.Timestamp.s) }):
		d.reportf(h.Timestamp.place, "put {"+h.Timestamp.s+"} into signed", "the time is not signed: it says nothing")
	}
}

func (s *secrets) all() []pipeline.Secret {
	var all []pipeline.Secret
	for i := range s.list {
		if s.list[i].ok {
			all = append(all, s.list[i].v)
		}
	}
	return all
}

// endpoints reports what the streams of one path do not agree about, and streams for which nobody listens.
func (d *decoder) endpoints(f *pipelineFile, p *pipeline.Pipeline) {
	first := map[string]*pipeline.Webhook{}
	for i := range f.Streams.entries {
		in := &f.Streams.entries[i].v.Ingest.v
		w := p.Streams[i].Ingest.Webhook
		if !in.Webhook.ok || w == nil {
			continue
		}
		if !f.Webhooks.set {
			d.reportf(in.Webhook.place, "set webhooks: {listen: \":8090\"} at the top of the file", "nobody listens for its deliveries")
		}
		if other := first[w.Path]; other == nil {
			first[w.Path] = w
		} else if signs(other) != signs(w) {
			d.reportf(in.Webhook.v.Verify.place, "one path has one sender: write the same verify and ids, or another path",
				"another stream of the path %s says otherwise", shown(in.Webhook.v.Path.place))
		}
	}
}

// signs is what streams of one path must have in common.
func signs(w *pipeline.Webhook) string {
	text := fmt.Sprint(w.ID, w.IDAt, w.Verify == nil)
	if s := w.Verify; s != nil {
		text += fmt.Sprint(s.Header, s.Prefix, s.Hash, s.Encoding, s.Base64Key, s.Signed, s.Timestamp, s.Tolerance)
		secrets := make([]string, len(s.Secrets))
		for i, secret := range s.Secrets {
			secrets[i] = secret.Reveal()
		}
		text += strings.Join(secrets, " ")
	}
	return text
}
