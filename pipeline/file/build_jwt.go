package file

import (
	"net/url"

	"github.com/millrace-io/millrace/internal/calendar"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) jwt(f *jwtFile) *pipeline.JWT {
	j := &pipeline.JWT{
		Algorithm: f.Algorithm.s, Key: f.Key.v, ServiceAccount: f.ServiceAccount.v, KeyID: f.KeyID.s, Issuer: f.Issuer.s, Subject: f.Subject.s,
		Audience: f.Audience.s, Lifetime: f.Lifetime.d, TokenURL: f.TokenURL.s, AsClient: f.Grant.s == "client",
	}
	if f.Scopes.ok {
		j.Scopes = f.Scopes.strings()
	}
	for i := range f.Claims.entries {
		if j.Claims == nil {
			j.Claims = map[string]string{}
		}
		j.Claims[f.Claims.entries[i].name] = f.Claims.entries[i].v.s
	}
	for i := range f.Params.entries {
		if j.Params == nil {
			j.Params = map[string]pipeline.Secret{}
		}
		j.Params[f.Params.entries[i].name] = f.Params.entries[i].v.v
	}
	if u, err := url.Parse(j.TokenURL); f.TokenURL.ok && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil) {
		d.reportf(f.TokenURL.place, "write it as in https://auth.example.com/oauth/token", "%s is not an absolute http or https URL", d.urlShown(&f.TokenURL))
	}
	exchanged := f.TokenURL.set || f.ServiceAccount.set
	switch {
	case f.Grant.set && !exchanged:
		d.reportf(f.Grant.place, "set token_url", "grant says how the token is exchanged, and it is sent as it is")
	case f.Params.set && !exchanged:
		d.reportf(f.Params.place, "set token_url", "params are of the exchange, and the token is sent as it is")
	case j.AsClient && !f.Issuer.set:
		d.reportf(f.Grant.place, "set issuer to the client's id", "with grant: client, the issuer is the client")
	}
	return j
}

func (d *decoder) aws(f *awsFile) *pipeline.AWS {
	return &pipeline.AWS{
		Region: f.Region.s, Service: f.Service.s, AccessKey: f.AccessKey.s, SecretKey: f.SecretKey.v, SessionToken: f.SessionToken.v,
	}
}

// cron builds when passes begin.
func (d *decoder) cron(f *ingestFile) *pipeline.Cron {
	c := &f.Cron
	if !c.set {
		return nil
	}
	out := &pipeline.Cron{Expr: c.word.s, Zone: "UTC"}
	at, right := c.place, c.ok && c.word.ok
	if !c.isWord() {
		out.Expr, out.Zone = c.v.At.s, c.v.Zone.s
		at, right = c.v.At.place, c.v.At.ok
		if c.v.Zone.set {
			right = right && c.v.Zone.ok && d.timeZone(&c.v.Zone) != ""
		}
	}
	if f.ForEach.set {
		d.reportf(c.place, "", "what is asked for each record of another stream is asked for when that changes: every says how old it may be, cron has no say")
	}
	if f.Every.set && f.Every.d > 0 {
		d.reportf(c.place, "keep one of them", "every and cron exclude each other")
	}
	if !right {
		return out
	}
	if _, err := calendar.New(&pipeline.Ingest{Cron: out}); err != nil {
		d.reportf(at, `write it as in "30 2 * * *": minute, hour, day of the month, number of the month, weekday`, "%s is no time of a crontab", shown(at))
	}
	return out
}
