// Package testservers gives integration tests a real Apache Kafka and a real MySQL in containers.
//
//	func TestMain(m *testing.M) { testservers.Main(m) }
//
//	brokers := testservers.Kafka(t) // one broker, shared by the tests of this process: use topics of your own
//	dsn := testservers.MySQL(t)     // one server, shared, and a fresh schema for this test
//
// NewKafka and NewMySQL start servers of a test's own, which can be stopped, killed, paused and started
// again at the same address.
//
// Without Docker the tests skip, unless MILLRACE_REQUIRE_DOCKER=1 is set: then they fail.
// MILLRACE_TEST_KAFKA (host:port,…) and MILLRACE_TEST_MYSQL (a DSN of a user who may create schemas)
// name running servers to use instead of the shared containers, which saves their start.
//
// Nothing stays behind: a test's own servers go when it ends, the shared ones when Main ends; and what
// a killed test process left is removed by the next process on this host that starts a container.
package testservers
