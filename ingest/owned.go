package ingest

import (
	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
)

// PassesDone is closed when every slice that this process has been assigned has ended a pass since Run began.
func (in *Ingest) PassesDone() <-chan struct{} { return in.passesDone }

func (in *Ingest) passEnded(key string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended[key] = true
	in.checkPasses()
}

func (in *Ingest) checkPasses() {
	for _, ref := range in.owned {
		if !in.ended[cursor.Key(ref.stream.Name, ref.name)] {
			return
		}
	}
	if len(in.owned) > 0 && !in.done {
		in.done = true
		close(in.passesDone)
	}
}

// setOwned is told which slices this process has, and takes its share of the rate limits.
func (in *Ingest) setOwned(owned []sliceRef) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.owned = owned
	in.checkPasses()
	own := map[*fetch.Budget]int{} // as in.slicesOf, of this process
	for _, ref := range owned {
		own[in.budgets.For(ref.stream.Ingest.HTTP)]++
	}
	for b, all := range in.slicesOf {
		b.Share(own[b], all)
	}
}

func (in *Ingest) ownedSlices() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.owned)
}
