package doctor

import (
	"fmt"
	"strings"
)

// Code names what was looked at. Codes are for ever: one that is not used any more is not given to anything else.
type Code string

// The codes: 1 of APIs, 2 of Kafka, 3 of the database, 4 of this host.
const (
	APIName       Code = "MR101"
	APIConnection Code = "MR102"
	APITLS        Code = "MR103"
	APIPage       Code = "MR104"
	APILetters    Code = "MR105"
	APIWarning    Code = "MR106"
	APIBudget     Code = "MR107"
	APIClock      Code = "MR108"

	KafkaReach        Code = "MR201"
	KafkaTopics       Code = "MR202"
	KafkaDiffers      Code = "MR203"
	KafkaTopicRights  Code = "MR204"
	KafkaGroupRights  Code = "MR205"
	KafkaTransactions Code = "MR206"
	KafkaCreate       Code = "MR207"

	DatabaseReach    Code = "MR301"
	DatabaseVersion  Code = "MR302"
	DatabaseSettings Code = "MR303"
	DatabaseRights   Code = "MR304"
	DatabaseClock    Code = "MR305"
	DatabaseTable    Code = "MR306"

	HostDisk Code = "MR401"
)

// Meaning is what a code stands for.
type Meaning struct {
	Code  Code
	Looks string // what is looked at
	Wrong string // what it means if it is not ok, and what then happens
	Fix   string // what to do
}

// Meanings are those of all codes, in order.
func Meanings() []Meaning {
	return []Meaning{
		{APIName, "the API's host has an address", "DNS does not know the host of `http.base_url`. ingest keeps asking, and says so.", "Correct `http.base_url`, or DNS where the process runs: a container has its own."},
		{APIConnection, "the host answers on its port", "A firewall, a proxy, or nobody listens.", "Correct the port, or let this host through."},
		{APITLS, "its certificate is good, and stays so for two weeks", "The certificate is of another host, has ended or ends soon, or its authority is not trusted here.", "Name the authority in `http.tls.ca_file`; the API's owner renews a certificate."},
		{APIPage, "one page of each stream can be fetched and taken apart", "401 and 403 are credentials; 404 is the path; an answer without records is `ingest.records`.", "`millrace preview FILE STREAM` shows the request and the answer."},
		{APILetters, "its records become rows", "The steps, or the columns' types, refuse some of them. They would wait as dead letters.", "`millrace preview FILE STREAM` shows each record after every step."},
		{APIWarning, "nothing on it looks like a mistake", "For example, an expression names a field that no record has.", "As the warning says."},
		{APIBudget, "what the API says of its limits", "It is shown, never wrong.", "Keep `http.rate_limit` below it."},
		{APIClock, "its clock and this host's agree within 30 seconds", "Positions go by the API's clock, so nothing is missed; waits, and tokens with a lifetime, go by this host's.", "Let this host follow NTP."},
		{KafkaReach, "the brokers answer", "No broker of `kafka.brokers` is reached, TLS or SASL does not fit, or what the brokers advertise is not reached from here.", "Try the advertised addresses from this host; check `kafka.tls` and `kafka.sasl`."},
		{KafkaTopics, "the topics can be listed with their settings", "The user may not see them.", "The `kafka-acls.sh` that it prints."},
		{KafkaDiffers, "a topic that is there is as the file says", "The number of partitions, the cleanup policy, the retention or the size of a record differs. No stage starts on it.", "Change the topic, or the file; `millrace topics FILE` lists both."},
		{KafkaTopicRights, "the user may read and write the topics", "A stage would stop with an authorization error.", "The `kafka-acls.sh` that it prints: Create, Read, Write, Describe and DescribeConfigs on the topics that begin with the pipeline's name."},
		{KafkaGroupRights, "the user may join the consumer groups", "As above.", "The `kafka-acls.sh` that it prints: Read on the groups that begin with the pipeline's name."},
		{KafkaTransactions, "the user may use the transactional ids", "As above.", "The `kafka-acls.sh` that it prints: Write on the transactional ids that begin with the pipeline's name."},
		{KafkaCreate, "topics that are missing can be made", "The user has no Create, or the brokers would not make them so, for example with so many replicas. It is asked without making any.", "The `kafka-acls.sh` that it prints, or have somebody who may run `millrace topics FILE --create`."},
		{DatabaseReach, "the database is reached, and lets the user in", "Host, port, user, password or schema is wrong.", "Correct `database.mysql`."},
		{DatabaseVersion, "its version", "It is too old: needed functions are missing.", "Use MySQL 8.0 or later."},
		{DatabaseSettings, "`sql_mode`, `max_allowed_packet`, character set", "Values would be cut in silence by other clients, large rows refused, or texts changed.", "As it says."},
		{DatabaseRights, "the user may make and change the tables", "The sink would wait for the right, and say which.", "The GRANT that it prints."},
		{DatabaseClock, "its clock and this host's agree", "What ages by the server's clock, such as marks, ages wrongly.", "Let the server follow NTP."},
		{DatabaseTable, "a table that is there fits the columns of the file", "A column is missing, has another type, or a unique index that is none of the key; or another stream writes the table.", "The ALTER TABLE that it prints, or change `sink.columns`; of another stream's table, the `--adopt` that it prints, or another table."},
		{HostDisk, "1 GiB is free where pages, and the embedded servers, have their files", "Pages that are larger than memory allows, and the embedded servers, could not be written.", "Make room, or set `data_dir` or TMPDIR to another place."},
	}
}

// Explain is the meaning of a code for people; ok is false if there is none of that name.
func Explain(code string) (text string, ok bool) {
	for _, m := range Meanings() {
		if strings.EqualFold(string(m.Code), code) {
			return fmt.Sprintf("%s: %s\n\n  if not: %s\n  fix:    %s\n", m.Code, m.Looks, m.Wrong, m.Fix), true
		}
	}
	return "", false
}

// ofDatabase is the code of what the database's own check looked at.
func ofDatabase(what string) Code {
	switch {
	case what == "version":
		return DatabaseVersion
	case what == "rights":
		return DatabaseRights
	case what == "clock":
		return DatabaseClock
	case strings.HasPrefix(what, "table "):
		return DatabaseTable
	}
	return DatabaseSettings
}
