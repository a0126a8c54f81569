//go:build integration

// Package e2e tries to break the promises: the real binaries as processes, on real Kafka and real MySQL, killed,
// frozen, added and removed while an API that fails at random serves new and revised records. When all is settled, the
// raw topic, the processed topic, the dead letters and the table are compared with the truth, record by record.
//
//	go test -tags integration ./e2e -run TestKill -seed 7 -kills 40
//	make chaos KILLS=200 SEED=7      the broker and mysqld are killed too, and the commands that swap at any moment
//	make jdbc                        a swap under the eyes of a Java program, which make test then has too
//	make faults SEED=7               read-only, full, locked, dropped, without rights: what happens to MySQL in operation
//	make mutants                     one mechanism after the other switched off: the comparison must notice
package e2e
