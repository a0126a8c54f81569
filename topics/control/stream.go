package control

import (
	"slices"
	"time"
)

// Stream is what is decided about a stream. The zero value is a stream that never ran.
type Stream struct {
	// Generations are ascending. A number is never given twice.
	Generations []Generation `json:"generations,omitempty"`
	Live        uint16       `json:"live,omitempty"` // the generation by which raw records are processed as they come
	// Epochs are ascending: a raw topic that was recreated counts its offsets from 0 again, in the next epoch.
	Epochs []Epoch `json:"epochs,omitempty"`
	// Run numbers the times at which positions of the processors' group were declared. A committed position of a lower
	// run does not count.
	Run Run `json:"run"`
	// Moved are offsets, by partition, that another program wrote into the processors' group: they do not count, in no
	// run.
	Moved map[int32]int64 `json:"moved,omitempty"`
	// Lost is why processors have no position to go on from; nil: they have. It is answered by the next run.
	Lost *Lost `json:"lost,omitempty"`
	Redo *Redo `json:"redo,omitempty"` // nil: none is under way
	// Paused are the stages that stand, by their names.
	Paused map[string]Pause `json:"paused,omitempty"`
	Reset  Reset            `json:"reset,omitzero"`
	Sweep  *Sweep           `json:"sweep,omitempty"` // nil: none is under way
	// Deletes are what complete reads may delete although it is too much at once, by the key of the slice.
	Deletes map[string]Allowed `json:"deletes,omitempty"`
	// Lines are ascending; none: there is the base line only. LiveLine is the number of the one whose table is read; 0:
	// the base line. NextLine is the number of the next one; 0: 2. They are in the record of the pipeline itself, not
	// in those of its lines.
	Lines    []Line `json:"lines,omitempty"`
	LiveLine uint16 `json:"live_line,omitempty"`
	NextLine uint16 `json:"next_line,omitempty"`
	Grow     *Grow  `json:"grow,omitempty"` // nil: none is under way
	// Partitions is how many the topics have since they were given more; 0: they never were.
	Partitions int32 `json:"partitions,omitempty"`
	// Decisions are the ids of the last decisions, the newest last: whoever does not know what became of one finds it
	// there.
	Decisions []string `json:"decisions,omitempty"`
}

// keptDecisions is how many others may decide while one is attempted again.
const keptDecisions = 16

// decided notes a decision.
func (s *Stream) decided(id string) {
	s.Decisions = append(s.Decisions[max(0, len(s.Decisions)-keptDecisions+1):len(s.Decisions):len(s.Decisions)], id)
}

// Generation is one logic of a stream, or the same logic once more over what was processed before.
type Generation struct {
	Number uint16    `json:"number"` // 1 or more
	Kind   Kind      `json:"kind"`
	Logic  string    `json:"logic"` // its fingerprint
	Key    string    `json:"key"`   // fingerprint of what decides which row a raw key has
	At     time.Time `json:"at"`
	By     string    `json:"by"` // instance name of the process that decided
	// Definition is the steps, the table and its columns, as JSON, with references to secrets unexpanded. Only the live
	// generation has it.
	Definition string `json:"definition,omitempty"`
	// Aborted says of the first generation of a redo that somebody ended it before all was processed again.
	Aborted bool `json:"aborted,omitempty"`
}

// Kind is how a generation came to be.
type Kind string

// The kinds of generations.
const (
	First Kind = "first"  // the stream never ran before, or was made by a version of millrace that kept no generations
	Other Kind = "change" // the file has another logic
	Again Kind = "redo"   // what was processed before is processed again
)

// Epoch is a raw topic, from its first record on or since it was given more partitions.
type Epoch struct {
	Number     uint16 `json:"number"`       // 0 or more
	RawTopicID string `json:"raw_topic_id"` // hexadecimal, 32 digits
	// ProcessedTopicID is of the processed topic that was there when the epoch was registered; empty: not known.
	ProcessedTopicID string    `json:"processed_topic_id,omitempty"`
	At               time.Time `json:"at"`
}

// Run is positions that were declared.
type Run struct {
	Number uint32 `json:"number"` // 0: none was ever declared
	// From is the raw offset at which processing goes on, by partition. A partition that is not there begins at the
	// start of its log.
	From map[int32]int64 `json:"from,omitempty"`
	Why  string          `json:"why,omitempty"`
	At   time.Time       `json:"at,omitzero"`
	// ProcessedTopicID is the processed topic, hexadecimal, for which the run was declared because the one before was
	// gone, with what its table had not taken yet; empty: it was declared for another reason.
	ProcessedTopicID string `json:"processed_topic_id,omitempty"`
}

// Upgrade is why the first run begins where a version of millrace had come that kept no runs: offsets without metadata
// count in it.
const Upgrade = "committed by a version of millrace that kept no runs"

// Lost is positions that are gone.
type Lost struct {
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

// Redo is raw records that are processed again, beside what comes.
type Redo struct {
	// Generation is of its rows, and of nothing else's. First is that of its first round: another follows, in a
	// generation of its own, for keys whose newest good record the table has refused. One that begins again has another
	// generation, too.
	Generation uint16    `json:"generation"`
	First      uint16    `json:"first"`
	State      RedoState `json:"state"`
	// processors that may still run the logic before the live one are fenced before the cut
	Fence      bool   `json:"fence,omitempty"`
	Aborted    bool   `json:"aborted,omitempty"` // it ends where it is
	RawTopicID string `json:"raw_topic_id"`      // of the raw topic whose records they are, as in Epoch
	Epoch      uint16 `json:"epoch"`             // of that topic
	// Cut is, by partition, the raw offset up to which live processing had come when the redo began: what lies above
	// comes by itself.
	Cut map[int32]int64 `json:"cut,omitempty"`
	// From and To are the range that was asked for, by partition: [From, To), within [start of the log, Cut).
	From map[int32]int64 `json:"from,omitempty"`
	To   map[int32]int64 `json:"to,omitempty"`
	Keys []string        `json:"keys,omitempty"` // raw keys; nil: all
	// Attempt is of the letters of a retry, 2 or more: what it processes again was refused before, and before its end
	// the letters of these records are closed. 0: it is no retry.
	Attempt int `json:"attempt,omitempty"`
	// Refused are, by partition, raw offsets of records that the table has refused in the rounds before: nil in the first.
	Refused map[int32][]int64 `json:"refused,omitempty"`
	Rate    int               `json:"rate,omitempty"` // raw records a second, of all that take part; 0: no limit
	Paused  bool              `json:"paused,omitempty"`
	At      time.Time         `json:"at"`
	By      string            `json:"by"`
}

// RedoState is how far a redo has come.
type RedoState string

// The states of a redo, in their order.
const (
	Marking RedoState = "marking" // the sinks are to keep a mark of each removal; there is no cut yet
	Running RedoState = "running" // records are processed again
	Ending  RedoState = "ending"  // all are in the processed topic; the sinks have to write them
)

// Pause is a stage that stands.
type Pause struct {
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
	Why string    `json:"why,omitempty"`
}

// Generation returns the generation of that number, or nil.
func (s *Stream) Generation(number uint16) *Generation {
	for i := range s.Generations {
		if s.Generations[i].Number == number {
			return &s.Generations[i]
		}
	}
	return nil
}

// Next is the number of the next generation.
func (s *Stream) Next() uint16 {
	if n := len(s.Generations); n > 0 {
		return s.Generations[n-1].Number + 1
	}
	return 1
}

// Epoch returns the epoch of a raw topic, and whether it has one. A topic that was given more partitions has several:
// the last one counts, since what was there before it is deleted.
func (s *Stream) Epoch(rawTopicID string) (number uint16, ok bool) {
	for _, e := range slices.Backward(s.Epochs) {
		if e.RawTopicID == rawTopicID {
			return e.Number, true
		}
	}
	return 0, false
}

// Knows reports whether a logic is, or was, a generation of s.
func (s *Stream) Knows(logic string) bool {
	for _, g := range s.Generations {
		if g.Logic == logic {
			return true
		}
	}
	return false
}

// IsPaused reports whether a stage stands.
func (s *Stream) IsPaused(stage string) bool {
	_, paused := s.Paused[stage]
	return paused
}
