package file

import (
	"net"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/pipeline"
)

// build turns the file into a Pipeline: it fills in what is absent, and checks what no single value shows. The
// result is of use only if there is no problem.
func (d *decoder) build(f *pipelineFile) *pipeline.Pipeline {
	p := &pipeline.Pipeline{Name: f.Pipeline.s, DataDir: f.DataDir.s}
	if !f.DataDir.set {
		p.DataDir = ".millrace/" + p.Name
	}
	p.Kafka = d.kafka(&f.Kafka)
	p.Database = d.database(&f.Database)
	d.streams = f.Streams.names()
	p.Webhooks = d.webhooks(&f.Webhooks)
	tables := map[string]string{}
	for i := range f.Streams.entries {
		e := &f.Streams.entries[i]
		p.Streams = append(p.Streams, d.stream(f, e, tables))
	}
	for i := range f.Streams.entries {
		if in := &f.Streams.entries[i].v.Ingest; in.ok && in.v.ForEach.ok {
			d.family(&in.v, p, &p.Streams[i])
		}
	}
	d.endpoints(f, p)
	return p
}

func (d *decoder) kafka(c *choice[kafkaFile]) pipeline.Kafka {
	f := &c.v
	k := pipeline.Kafka{
		Embedded:       c.isWord(),
		Brokers:        f.Brokers.strings(),
		Partitions:     int32(f.Partitions.n),
		Replication:    int16(f.Replication.n),
		RawRetention:   f.RawRetention.d,
		Retention:      f.Retention.d,
		MaxRecordBytes: int32(f.MaxRecordBytes.n),
	}
	for i := range f.Brokers.list {
		b := &f.Brokers.list[i]
		if _, port, err := net.SplitHostPort(b.s); b.ok && (err != nil || !goodPort(port)) {
			d.reportf(b.place, "write it as in localhost:9092", "%s is not host:port", shown(b.place))
		}
	}
	if f.Replication.ok && f.Replication.n == 0 {
		d.reportf(f.Replication.place, "", "0 is not a replication factor; -1 is the brokers' default")
	}
	if t := &f.TLS.v; f.TLS.set {
		k.TLS = d.tls(t, f.TLS.place)
	}
	if s := &f.SASL.v; f.SASL.set {
		k.SASL = &pipeline.SASL{Mechanism: s.Mechanism.s, Username: s.Username.s, Password: s.Password.v}
	}
	return k
}

func goodPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

func (d *decoder) database(c *choice[databaseFile]) pipeline.Database {
	db := pipeline.Database{Embedded: c.isWord(), MySQL: c.v.MySQL.v}
	m := &c.v.MySQL
	if !m.ok {
		return db
	}
	const hint = "write it as in user:${MYSQL_PASSWORD}@tcp(localhost:3306)/schema"
	dsn, err := mysql.ParseDSN(m.v.Reveal())
	switch {
	case err != nil: // which may quote the password
		d.reportf(m.place, hint, "this is not a data source name of MySQL")
	case dsn.DBName == "":
		d.reportf(m.place, hint, "the schema is missing, behind the last /")
	}
	return db
}
