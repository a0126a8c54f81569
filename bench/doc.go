// Command bench measures each stage alone, and the whole, on real servers, against the limit that is
// measured in the same run, and prints the ratios. Absolute figures depend on the machine and on its
// other guests; the ratios of one run are what to quote.
//
//	ingest     a server that answers after 50 ms: pages of 100, against concurrency ÷ latency;
//	           a server that answers at once: pages of 500, against an HTTP client that reads and discards
//	processor  against consume → produce of the same bytes without processing or transactions
//	sink       against LOAD DATA LOCAL INFILE … REPLACE of the same rows into the same table, as new rows
//	           and as updates; after one run that is not counted, in which mysqld first touches its memory
//	whole      API → raw → processed → MySQL, three processes
//	latency    from a raw record to its row at 1,000 records in a second, processor and sink, beside two
//	           bare loops that commit in intervals of 20 ms
//	scale      only if asked for: -streams (10) of -partitions (100); start, memory, idling, start again, a second sink
//	replay     only if asked for: a stream processed again, against the first time
//	beside-replay, beside-shadow
//	           only if asked for: live records' latency before, in each phase of, and after a replay with a rate, -runs
//	           times after one that does not count
//	grid       only if asked for: ingest at concurrencies 1, 8 and 64 and pages of 10, 100 and 1000, with 50 ms and
//	           without
//	page       only if asked for: the memory of ingest while a page of 1 GiB goes through
//	budget     only if asked for: how much of an API's quota three processes use, and how often they are turned away
//	slices     only if asked for: 10,000 slices: the first fetch, a start, a take-over
//	shadow     only if asked for: a line filled beside the live one, against the first time; diff, swap, rollback, and
//	           the longest that a reader waits
//	starts     only if asked for: from the start of a processor to its first commit, and until it has caught up
//
// Every measured program, the limits included, is a process of its own, so that its CPU time and its peak
// memory are those that the operating system counted. The API, Kafka and MySQL run beside it.
//
//	make bench                        starts the servers of bench/docker-compose.yml, measures, stops them
//	go run ./bench -h                 the flags
package main
