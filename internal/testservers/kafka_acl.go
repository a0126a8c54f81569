package testservers

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// GuardedKafka is a broker of a test's own that has ACLs, and users who log in by SASL/PLAIN.
type GuardedKafka struct{ *KafkaServer }

// User and Admin are its users, each with its name as password: the first may nothing before somebody allows it, the
// other everything.
const (
	User  = "app"
	Admin = "admin"
)

// NewGuardedKafka starts one for this test. It is removed when the test ends.
func NewGuardedKafka(t testing.TB) *GuardedKafka {
	t.Helper()
	const login = `org.apache.kafka.common.security.plain.PlainLoginModule required user_` + User + `="` + User + `" user_` + Admin + `="` + Admin + `";`
	c := own(t, func(ctx context.Context) (*container, error) {
		return startBroker(ctx, map[string]string{
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":              "CONTROLLER:PLAINTEXT,CLIENT:SASL_PLAINTEXT,BROKER:PLAINTEXT",
			"KAFKA_SASL_ENABLED_MECHANISMS":                     "PLAIN",
			"KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG": login,
			"KAFKA_AUTHORIZER_CLASS_NAME":                       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			// the latter: the broker itself
			"KAFKA_SUPER_USERS": "User:" + Admin + ";User:ANONYMOUS",
		}, AsAdmin())
	})
	return &GuardedKafka{&KafkaServer{c}}
}

// AsAdmin is the login of a client that may everything.
func AsAdmin() kgo.Opt { return kgo.SASL(plain.Auth{User: Admin, Pass: Admin}.AsMechanism()) }

// ACLs runs a command line that begins with kafka-acls.sh, as an administrator of the broker would. It fails the test
// if the command fails.
func (s *GuardedKafka) ACLs(t testing.TB, line string) (output string) {
	t.Helper()
	line = strings.NewReplacer(s.addr, insideKafka, "admin.properties", "/dev/null").Replace(line)
	// of a program that runs for a second
	const quickStart = "KAFKA_JVM_PERFORMANCE_OPTS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' "
	return s.Exec(t, "sh", "-c", quickStart+"/opt/kafka/bin/"+line)
}
