// Package doctor looks at everything that a pipeline needs before it runs: its file, the APIs, the brokers, the
// database, the disk and the clocks. It changes nothing.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/preview"
	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// Finding is what was looked at, and how to correct what is wrong with it.
type Finding struct {
	Code  Code   `json:"code"`
	Check string `json:"check"` // as in api orders: credentials
	State State  `json:"state"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

// State is how something is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn"
	Fail State = "fail"
)

const (
	serverTimeout = 10 * time.Second
	leastDisk     = 1 << 30
	mostSkew      = 30 * time.Second
	soon          = 14 * 24 * time.Hour
)

// Run looks at a pipeline. file is the path of its file, for what to do next.
func Run(ctx context.Context, p *pipeline.Pipeline, file string) []Finding {
	d := &doctor{p: p, file: file}
	texts := make([]string, len(p.Secrets))
	for i, s := range p.Secrets {
		texts[i] = s.Value.Reveal()
	}
	d.hide = redact.New(texts...)
	d.apis(ctx)
	d.brokers(ctx)
	d.database(ctx)
	d.disk()
	return d.found
}

type doctor struct {
	p     *pipeline.Pipeline
	file  string
	hide  *redact.Secrets
	found []Finding
}

func (d *doctor) addf(state State, code Code, check, fix, format string, args ...any) {
	d.found = append(d.found, Finding{code, check, state, d.hide.Text(fmt.Sprintf(format, args...)), fix})
}

// apis looks at each host once, and at the first page of each stream.
func (d *doctor) apis(ctx context.Context) {
	var hosts []string
	for i := range d.p.Streams {
		s := &d.p.Streams[i]
		if w := s.Ingest.Webhook; w != nil {
			d.addf(OK, APIPage, "stream "+s.Name, "", "delivered by a webhook to %s%s: nothing is asked for", d.p.Webhooks.Listen, w.Path)
			continue
		}
		u, err := url.Parse(s.Ingest.HTTP.BaseURL)
		if err != nil {
			continue
		}
		reached := true
		if !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
			reached = d.host(ctx, u)
		}
		if reached {
			d.stream(ctx, s)
		}
	}
}

// host looks up and reaches the host of an API.
func (d *doctor) host(ctx context.Context, u *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	check := "api " + u.Host
	if _, err := net.DefaultResolver.LookupHost(ctx, u.Hostname()); err != nil {
		d.addf(Fail, APIName, check+": name", "check http.base_url, and DNS where this runs", "%v", err)
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
		if port == "" {
			port = "80"
		}
	}
	address := net.JoinHostPort(u.Hostname(), port)
	if u.Scheme == "https" {
		return d.secured(ctx, u, address)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		d.addf(Fail, APIConnection, check+": connection", "check http.base_url, proxies and firewalls", "%v", err)
		return false
	}
	_ = conn.Close()
	d.addf(OK, APIConnection, check+": connection", "", "reached; it is not encrypted")
	return true
}

// secured reaches the host of an API by TLS.
func (d *doctor) secured(ctx context.Context, u *url.URL, address string) bool {
	check := "api " + u.Host
	conn, err := (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}}).DialContext(ctx, "tcp", address)
	if err != nil {
		d.addf(Fail, APITLS, check+": TLS", "check the certificate and the authorities that this system trusts; http.tls.ca_file names others", "%v", err)
		return false
	}
	defer func() { _ = conn.Close() }()
	if c, ok := conn.(*tls.Conn); ok && len(c.ConnectionState().PeerCertificates) > 0 {
		until := c.ConnectionState().PeerCertificates[0].NotAfter
		if time.Until(until) < soon {
			d.addf(Warn, APITLS, check+": TLS", "the API's owner must renew it", "its certificate ends on %s", until.Format(time.DateOnly))
			return true
		}
		d.addf(OK, APITLS, check+": TLS", "", "certificate good until %s", until.Format(time.DateOnly))
	}
	return true
}

// stream fetches one page.
func (d *doctor) stream(ctx context.Context, s *pipeline.Stream) {
	ctx, cancel := context.WithTimeout(ctx, 3*serverTimeout)
	defer cancel()
	check := "stream " + s.Name
	retry := s.Ingest.HTTP.Retry
	s.Ingest.HTTP.Retry = pipeline.Retry{Initial: 100 * time.Millisecond, Max: time.Second, Attempts: 1}
	defer func() { s.Ingest.HTTP.Retry = retry }()
	report, err := preview.Run(ctx, d.p, preview.Options{Stream: s.Name, Pages: 1})
	switch next := fmt.Sprintf("look closer with `millrace preview %s %s`", d.file, s.Name); {
	case err != nil:
		d.addf(Fail, APIPage, check+": first page", next, "%v", err)
		return
	case report.Error != "":
		d.addf(Fail, APIPage, check+": first page", next, "%s", report.Error)
		return
	case report.Counts.Letters > 0:
		d.addf(Warn, APILetters, check+": first page", next, "%d of %d records would be dead letters", report.Counts.Letters, report.Counts.Records)
	default:
		d.addf(OK, APIPage, check+": first page", "", "%d records, %d rows", report.Counts.Records, report.Counts.Rows)
	}
	for _, w := range report.Warnings {
		d.addf(Warn, APIWarning, check, fmt.Sprintf("look closer with `millrace preview %s %s`", d.file, s.Name), "%s", w)
	}
	for _, q := range report.Requests {
		d.limits(check, q)
	}
}

// limits tells of the budget, and of the API's clock.
func (d *doctor) limits(check string, q preview.Request) {
	if len(q.Limits) > 0 {
		var texts []string
		for name, value := range q.Limits {
			texts = append(texts, name+": "+value)
		}
		slices.Sort(texts)
		d.addf(OK, APIBudget, check+": budget", "", "%s", strings.Join(texts, ", "))
	}
	if date, err := http.ParseTime(q.Date); err == nil {
		if skew := time.Since(date).Abs(); skew > mostSkew {
			d.addf(Warn, APIClock, check+": clock", "let this host follow NTP; millrace goes by the API's clock, and its own matters for waits alone",
				"the API's clock differs from ours by %v", skew.Round(time.Second))
		}
	}
}

// brokers looks at Kafka, and at the topics against the file.
func (d *doctor) brokers(ctx context.Context) {
	if d.p.Kafka.Embedded {
		d.addf(OK, KafkaReach, "kafka", "", "embedded: it runs in the process of `millrace run`")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	opts, err := kafka.Opts(d.p.Kafka, "millrace-doctor", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		d.addf(Fail, KafkaReach, "kafka", "check kafka.tls and kafka.sasl", "%v", err)
		return
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		d.addf(Fail, KafkaReach, "kafka", "check kafka", "%v", err)
		return
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if !d.reached(ctx, adm) {
		return
	}
	d.topics(ctx, adm)
	d.rights(ctx, client, adm)
}

// topics looks at the topics against the file, and at what our user may do with them.
func (d *doctor) topics(ctx context.Context, adm *kadm.Client) {
	missing, differs, err := admin.Inspect(ctx, adm, topics.Specs(d.p))
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		d.addf(Fail, KafkaTopics, "kafka: topics", d.grantTopics(), "%v", err)
		return
	case err != nil:
		d.addf(Fail, KafkaTopics, "kafka: topics", "the brokers' log says more; run it again", "%v", err)
		return
	}
	if len(missing) > 0 {
		d.addf(OK, KafkaTopics, "kafka: topics", "", "%d are not there; the stages make them", len(missing))
	}
	for _, m := range differs {
		d.addf(Fail, KafkaDiffers, "kafka: topic "+m.Topic, "change the topic, or the pipeline file; `millrace topics "+d.file+"` lists both", "%s is %s", m.Setting, m.Is)
	}
	if len(missing)+len(differs) == 0 {
		d.addf(OK, KafkaTopics, "kafka: topics", "", "all are as the file says")
	}
	d.topicRights(ctx, adm, missing)
}

// reached asks the brokers for their versions, and reports whether they have answered.
func (d *doctor) reached(ctx context.Context, adm *kadm.Client) bool {
	versions, err := adm.ApiVersions(ctx)
	versions.Each(func(v kadm.BrokerApiVersions) {
		if err == nil {
			err = v.Err
		}
	})
	if err != nil {
		fix := cmp.Or(kafka.Fix(err, d.file),
			"check kafka.brokers, kafka.tls and kafka.sasl, and that the brokers' advertised addresses are reached from here")
		d.addf(Fail, KafkaReach, "kafka", fix, "%s: %v", strings.Join(d.p.Kafka.Brokers, ","), err)
		return false
	}
	var is []string
	versions.Each(func(v kadm.BrokerApiVersions) { is = append(is, v.VersionGuess()) })
	slices.Sort(is)
	d.addf(OK, KafkaReach, "kafka", "", "%d brokers, version %s", len(is), strings.Join(slices.Compact(is), ", "))
	return true
}

// database looks at MySQL.
func (d *doctor) database(ctx context.Context) {
	if d.p.Database.Embedded {
		d.addf(OK, DatabaseReach, "database", "", "embedded: a SQLite file in %s", d.p.DataDir)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	a, err := sink.OpenAdmin(d.p)
	if err != nil {
		d.addf(Fail, DatabaseReach, "mysql", "check database.mysql", "%v", err)
		return
	}
	defer a.Close()
	a.SetFile(d.file)
	found, err := a.Examine(ctx)
	if err != nil {
		d.addf(Fail, DatabaseReach, "mysql", "check database.mysql: host, port, user, password and schema", "%v", err)
	}
	for _, f := range found {
		state, text := OK, f.Is
		if f.Problem != "" {
			state, text = Fail, strings.TrimPrefix(f.Is+": "+f.Problem, ": ")
			if f.Warning {
				state = Warn
			}
		}
		d.addf(state, ofDatabase(f.What), "mysql: "+f.What, f.Fix, "%s", text)
	}
}

// disk looks for room where pages and the embedded servers keep their files.
func (d *doctor) disk() {
	dirs := []string{os.TempDir()}
	if d.p.Kafka.Embedded || d.p.Database.Embedded {
		dirs = append(dirs, d.p.DataDir)
	}
	for _, dir := range dirs {
		at := dir
		for {
			if _, err := os.Stat(at); err == nil || !errors.Is(err, os.ErrNotExist) {
				break
			}
			at = parent(at)
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(at, &fs); err != nil {
			continue
		}
		free := fs.Bavail * uint64(fs.Bsize)
		if free < leastDisk {
			d.addf(Warn, HostDisk, "disk "+dir, "make room, or set data_dir or TMPDIR to another place", "%d MiB are free", free>>20)
			continue
		}
		d.addf(OK, HostDisk, "disk "+dir, "", "%d MiB are free", free>>20)
	}
}

func parent(dir string) string {
	i := strings.LastIndexByte(strings.TrimRight(dir, "/"), '/')
	switch {
	case i < 0:
		return "."
	case i == 0:
		return "/"
	}
	return dir[:i]
}
