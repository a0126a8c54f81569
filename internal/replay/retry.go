package replay

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/pipeline"
)

// Ceiling is how often a record is tried: what has been refused so often is not retried, unless somebody insists.
const Ceiling = 5

// Batch is letters that one redo retries: those of its keys.
type Batch struct {
	Letters []*letters.Letter
	Keys    []string
	Attempt int // as in control.Redo
}

// Batches puts letters into as few redos as can be: the keys of each are in one record of the control topic, most bytes
// of it at most (0: 256 KiB), and its letters all have the same attempt. A key is in one of them only, with all of its
// letters.
func Batches(open []*letters.Letter, most int) []Batch {
	most = cmp.Or(most, mostKeys)
	of, attempts := map[string][]*letters.Letter{}, map[string]int{}
	for _, l := range open {
		key := string(l.Record.Key)
		of[key] = append(of[key], l)
		attempts[key] = max(attempts[key], l.Attempt+1, 2)
	}
	keys := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(attempts[a], attempts[b]), cmp.Compare(a, b))
	})
	var out []Batch
	bytes := 0
	for _, key := range keys {
		n := keyBytes(key)
		if last := len(out) - 1; last < 0 || out[last].Attempt != attempts[key] || bytes+n > most {
			out, bytes = append(out, Batch{Attempt: attempts[key]}), 0
		}
		b := &out[len(out)-1]
		b.Letters, b.Keys = append(b.Letters, of[key]...), append(b.Keys, key)
		bytes += n
	}
	return out
}

// keyBytes is how many bytes a key takes in the control topic.
func keyBytes(key string) int {
	b, err := json.Marshal(key)
	if err != nil {
		return len(key) // there is no such key
	}
	return len(b) + 1
}

// Ask is what a redo of the batch asks for. epoch is that of the raw topic.
func (b *Batch) Ask(p *pipeline.Pipeline, s *pipeline.Stream, epoch uint16) Ask {
	return Ask{Keys: b.Keys, Attempt: b.Attempt, From: Bound{Offsets: Since(p, s, epoch, b.Letters)}}
}
