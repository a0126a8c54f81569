package mutants

// Sink is the mutants of the sink.
var Sink = []Mutant{}
