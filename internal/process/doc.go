// Package process runs stages of a pipeline in this process. It starts the embedded servers, takes the names by which
// the brokers know this process again after a restart, serves health and metrics, runs the stages until one
// fails or the context ends, and drains them:
//
//	New     lock data_dir → broker → instance names → port of health and metrics → stages (no I/O yet)
//	Run     the stages; each waits for its servers by itself
//	        cancelled, or a stage has returned: /readyz says so, the others drain
//	        port closed → broker closed → locks given back
//
// A process keeps nothing that is not in Kafka or the database, so it may be killed at any of these points.
package process
