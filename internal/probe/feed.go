package probe

import (
	"context"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// byFeed looks for a feed of changes, as CouchDB and those that speak its protocol have it: each change has a seq,
// last_seq is that of the last one, and since asks for those after it. pending, which not all have, counts what is
// left.
func (f *finder) byFeed(ctx context.Context) *paging {
	last := infer.Value(f.first.body, []string{"last_seq"})
	if last == nil || !slices.Equal(f.place.path, []string{"results"}) || len(f.records) == 0 || infer.Value(f.records[0], []string{"seq"}) == nil {
		return nil
	}
	records, err := f.second(ctx, with(f.first.asked, "since", infer.Text(last)), "whether since takes last_seq")
	if err != nil || len(records) > 0 && !f.other(records) {
		return nil
	}
	p := &paging{second: records, drop: []string{"since"}, seen: "a feed of changes: since takes last_seq", feed: true}
	if infer.Value(f.first.body, []string{"pending"}) != nil {
		p.paginate.Cursor = &pipeline.BodyCursor{
			Next: []string{"last_seq"}, Param: "since", First: "0", Stop: pipeline.StopRule{When: "has_more", Field: []string{"pending"}}, Keep: &pipeline.Keep{},
		}
		return p
	}
	k := &pipeline.Keyset{Field: []string{"seq"}, Param: "since", First: "0"}
	if n, err := strconv.Atoi(f.first.asked.Query().Get("limit")); err == nil && n > 0 {
		k.SizeParam, k.Size = "limit", n
		p.drop = append(p.drop, "limit")
	}
	p.paginate.Keyset = k
	return p
}
