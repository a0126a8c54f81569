package mutants

// Processor is the mutants of the processor.
var Processor = []Mutant{}
