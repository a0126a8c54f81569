package mutants

// Ingest is the mutants of ingest.
var Ingest = []Mutant{}
