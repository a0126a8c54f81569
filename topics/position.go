package topics

import (
	"encoding/json"
	"strings"
)

// Position is what a processor commits beside a raw offset, as the offset's metadata: an offset counts only in the
// topic and in the run that it is of. Without it an offset was written by another program.
type Position struct {
	RawTopicID string `json:"id"`  // hexadecimal, 32 digits
	Run        uint32 `json:"run"` // as control.Run
	Generation uint16 `json:"gen"` // of what was made of the records below
	Epoch      uint16 `json:"epoch"`
}

// positionPrefix begins the metadata, so that it is not taken for another program's.
const positionPrefix = "millrace1 "

// Metadata is p as a broker keeps it.
func (p Position) Metadata() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // of texts and numbers, there is none
	}
	return positionPrefix + string(b)
}

// ParsePosition reads [Position.Metadata]; ok is false for what another program wrote.
func ParsePosition(metadata string) (p Position, ok bool) {
	text, ok := strings.CutPrefix(metadata, positionPrefix)
	if !ok || json.Unmarshal([]byte(text), &p) != nil {
		return Position{}, false
	}
	return p, true
}
