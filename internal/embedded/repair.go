package embedded

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// repair ends the transactions that a kill left open in the files of the broker, before it reads them. The broker
// itself forgets them when it starts: it writes no marker, and then
//
//   - a reader that meets the remains together with a later transaction of the same producer leaves out both, and
//   - after another kill the remains count as part of that later transaction;
//   - a transaction whose commit had reached some partitions would stay committed in these alone.
//
// c is the commit that was begun last, or nil. Its transaction is committed wherever it is open, unless it is known to
// be aborted; all others are aborted. ended is their number, by partition; committed says that c's offsets are to be
// committed too. A repair that is killed is taken up by the next.
func repair(dir string, c *commit) (ended int, committed bool, err error) {
	dirs, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if os.IsNotExist(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	var partitions []*partition
	committed = c != nil
	for _, d := range dirs {
		p, err := scanPartition(filepath.Join(dir, "partitions", d.Name()), c)
		if err != nil {
			return 0, false, err
		}
		partitions = append(partitions, p)
		committed = committed && !p.aborted
	}
	for _, p := range partitions {
		for _, producer := range slices.Sorted(maps.Keys(p.open)) {
			itself := committed && c.Producer == producer && c.Epoch == p.open[producer]
			if err := p.end(producer, itself); err != nil {
				return ended, false, err
			}
			ended++
		}
	}
	return ended, committed, nil
}
