package admin

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/topics"
)

// MismatchError says that topics exist with other settings than the pipeline file asks for. They need an
// operator, who changes the topics or the file; until then nothing is read from them or written to them.
type MismatchError struct {
	Mismatches []Mismatch // at least one, in the order of the specs
}

// Mismatch is one setting of one topic.
type Mismatch struct {
	Topic   string
	Setting string // "partitions", "replication", or a topic setting such as "retention.ms"
	Is      string
	Want    string
	Hint    string // what to do about it
}

// Error lists every mismatch on a line of its own, with what to do about it.
func (e *MismatchError) Error() string {
	var b strings.Builder
	b.WriteString("topics exist with other settings than the pipeline file asks for:")
	for _, m := range e.Mismatches {
		fmt.Fprintf(&b, "\n  %s: %s is %s, want %s\n    %s", m.Topic, m.Setting, m.Is, m.Want, m.Hint)
	}
	return b.String()
}

// compareLayout compares the number of partitions and of replicas.
func compareLayout(s topics.Spec, d kadm.TopicDetail) []Mismatch {
	var found []Mismatch
	if is := int32(len(d.Partitions)); is != s.Partitions {
		hint := fmt.Sprintf("a topic never gets fewer: set kafka.partitions: %d in the pipeline file", is)
		if is < s.Partitions {
			hint = fmt.Sprintf("a key's partition changes with their number: `millrace topics grow FILE --partitions %d` keeps order and versions; "+
				"or set kafka.partitions: %d in the pipeline file", s.Partitions, is)
		}
		if s.Partitions == topics.StatePartitions && strings.HasSuffix(s.Topic, ".ingest.state") {
			hint = "the number is fixed: delete the topic (every slice is then fetched from its start again) or use another pipeline name"
		}
		found = append(found, Mismatch{s.Topic, "partitions", strconv.Itoa(int(is)), strconv.Itoa(int(s.Partitions)), hint})
	}
	if s.Replication > 0 {
		for _, p := range d.Partitions.Sorted() {
			if is := len(p.Replicas); is != int(s.Replication) {
				found = append(found, Mismatch{s.Topic, "replication", strconv.Itoa(is), strconv.Itoa(int(s.Replication)), fmt.Sprintf(
					"set kafka.replication: %d (or -1) in the pipeline file, or move the replicas with kafka-reassign-partitions.sh", is)})
				break
			}
		}
	}
	return found
}

type fileKey struct{ suffix, setting, key string }

// fileKeys is where the pipeline file sets a topic setting, by suffix of the topic and setting.
var fileKeys = []fileKey{
	{".raw", "retention.ms", "kafka.raw_retention"},
	{".processed", "retention.ms", "kafka.retention"},
	{"", "max.message.bytes", "kafka.max_record_bytes"},
}

// compareConfigs compares the settings of s; others are the operator's own.
func compareConfigs(s topics.Spec, r kadm.ResourceConfig) []Mismatch {
	is := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		is[c.Key] = c.MaybeValue()
	}
	var found []Mismatch
	for _, setting := range slices.Sorted(maps.Keys(s.Configs)) {
		want := s.Configs[setting]
		value, known := is[setting]
		if value == want {
			continue
		}
		if !known {
			value = "not known to the broker"
		}
		hint := alterCommand(s.Topic, setting, want)
		i := slices.IndexFunc(fileKeys, func(k fileKey) bool { return k.setting == setting && strings.HasSuffix(s.Topic, k.suffix) })
		if i >= 0 {
			hint += "\n    or change " + fileKeys[i].key + " in the pipeline file"
		}
		found = append(found, Mismatch{s.Topic, setting, value, want, hint})
	}
	return found
}

func alterCommand(topic, setting, value string) string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name %s --add-config %s=%s",
		topic, setting, value)
}
