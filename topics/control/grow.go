package control

import (
	"fmt"
	"slices"
	"time"
)

// Grow is a stream whose topics are being given more partitions. A key is in another partition then, so that its
// records are written again: package grow says how.
type Grow struct {
	From       int32     `json:"from"` // partitions before
	To         int32     `json:"to"`
	State      GrowState `json:"state"`
	RawTopicID string    `json:"raw_topic_id"` // hexadecimal, 32 digits
	// First is, by partition, where the raw topic ended when nothing was written to it any more: what is below is
	// written again, and deleted. It is there from GrowMoving on.
	First map[int32]int64 `json:"first,omitempty"`
	// Next is, by partition, where the raw topic ended when all below First was written again. It is there from
	// GrowCutting on.
	Next map[int32]int64 `json:"next,omitempty"`
	At   time.Time       `json:"at"`
	By   string          `json:"by"`
}

// GrowState is how far a grow has come.
type GrowState string

// The states of a grow, in their order.
const (
	GrowDraining GrowState = "draining" // nothing is fetched; processors and sinks do what is there
	GrowMoving   GrowState = "moving"   // processors stand too; raw records are written again, to their new partitions
	GrowCutting  GrowState = "cutting"  // all are; the records of before are deleted
)

// Growing says why a stage of a process stands for the number of partitions; empty: it does not. partitions is that of
// the process's pipeline file. Sinks never stand for it.
func (s *Stream) Growing(stage string, partitions int32) string {
	switch {
	case s.Grow != nil && (stage == "ingest" || s.Grow.State != GrowDraining):
		return fmt.Sprintf("the topics are given %d partitions, of %d, since %s by %s; if `millrace topics grow FILE --partitions %d` has died meanwhile, run it again",
			s.Grow.To, s.Grow.From, s.Grow.At.UTC().Format(time.RFC3339), s.Grow.By, s.Grow.To)
	case s.Partitions != 0 && s.Partitions != partitions:
		return fmt.Sprintf("the topics were given %d partitions, and the file of this process says %d: start it with kafka.partitions: %d",
			s.Partitions, partitions, s.Partitions)
	}
	return ""
}

// GrowRefuses is why nothing else may begin while a grow is under way; nil: it may.
func (s *Stream) GrowRefuses() error {
	if s.Grow == nil {
		return nil
	}
	return fmt.Errorf("its topics are given %d partitions: let `millrace topics grow FILE --partitions %d` end first", s.Grow.To, s.Grow.To)
}

// GrowRefusesFile is GrowRefuses, or why a command with a file of so many partitions may not begin what reads or writes
// all of them.
func (s *Stream) GrowRefusesFile(partitions int32) error {
	if err := s.GrowRefuses(); err != nil {
		return err
	}
	if s.Partitions != 0 && s.Partitions != partitions {
		return fmt.Errorf("its topics were given %d partitions, and the file says %d: set kafka.partitions: %d", s.Partitions, partitions, s.Partitions)
	}
	return nil
}

// EarlierEpochs are the epochs before this one of the same raw topic, when it had fewer partitions: their offsets are
// gone.
func (s *Stream) EarlierEpochs(epoch uint16) map[uint16]bool {
	out, id := map[uint16]bool{}, ""
	for _, e := range slices.Backward(s.Epochs) {
		switch {
		case e.Number == epoch:
			id = e.RawTopicID
		case id != "" && e.RawTopicID == id:
			out[e.Number] = true
		}
	}
	return out
}
