// Package quakeapi is a local HTTP server that answers like the earthquake catalogue of the United
// States Geological Survey (FDSN event web service), with a recorded week of it: the same parameters,
// envelope, limits and errors.
//
//	GET /fdsnws/event/1/query   format=geojson starttime endtime updatedafter minmagnitude maxmagnitude
//	                            orderby limit offset includedeleted
//	GET /fdsnws/event/1/count   the same parameters; {"count":n,"maxAllowed":20000}
//	GET /truth                  what a mirror should hold (below)
//	GET /healthz                200
//
// It is also as troublesome as an API can be. A while after the first query it begins to publish: further
// events, and revisions of those it has served, each with a later properties.updated. Some revisions
// delete an event, reclassify it, bring it back, or are broken. And unless it is told otherwise it now and
// then answers 429 with Retry-After (seconds, or a date), answers 500, cuts the connection in the middle
// of a body, or is slow; and 429 to whoever asks too often. All of it follows from a seed and the number
// of the request.
//
// Its clock, which answers to queries tell in the header Date, is that of its records, and runs from the end of the
// recorded week on.
//
// GET /truth answers {"generated","rests","published","features"}: the newest revision of every event that
// is published, also of deleted ones; rests says that nothing more will be published. With served=true
// only revisions count that were in an answer written to its end. With rows=true it answers
// {"generated","rests","count","rows"} instead: the rows that examples/earthquakes/pipeline.yaml makes of
// what is published.
//
// A server is deterministic but for the time at which it publishes: with the same seed the same revisions follow each
// other. A query for changes after a time that the server has not reached moves it on to there, so that one which is
// started again goes on where its clients were.
//
// The server is for demonstrations and tests. It holds everything in memory, some 3 MiB, and with Follow 4 MiB more an
// hour.
package quakeapi
