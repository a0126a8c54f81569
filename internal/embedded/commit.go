package embedded

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit is a transaction that a producer has asked to commit, written down before the broker begins: it writes a
// marker to each partition and then the offsets of groups, and a kill may come between any two of them. The broker does
// one thing after the other, so only the last commit can be half done.
type commit struct {
	Producer int64         `json:"producer"`
	Epoch    int16         `json:"epoch"`
	Offsets  []groupOffset `json:"offsets"`
}

// groupOffset is a next offset that is committed with the transaction.
type groupOffset struct {
	Group     string   `json:"group"`
	Topic     string   `json:"topic"`    // empty: only the id was given
	TopicID   [16]byte `json:"topic_id"` // used from version 6 of the request
	Partition int32    `json:"partition"`
	At        int64    `json:"at"`
	Metadata  string   `json:"metadata"`
}

// ownEpochs is the version of EndTxn from which each transaction has an epoch of its own (KIP-890). What older clients
// commit is not written down, since it could be taken for their next transaction.
const ownEpochs = 5

// commitFile holds the last commit that was begun: length and CRC-32C of the rest, which is JSON.
type commitFile string

func (f commitFile) write(file *os.File, c *commit) error {
	content, err := json.Marshal(c)
	if err != nil {
		return err
	}
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(content, castagnoli))
	_, err = file.WriteAt(append(raw, content...), 0)
	return err
}

// read returns nil if no commit was begun, or not written down whole: then the broker did not begin either.
func (f commitFile) read() (*commit, error) {
	raw, err := os.ReadFile(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	if len(raw) < 8 {
		return nil, nil //nolint:nilnil // there is none
	}
	size, sum, content := binary.BigEndian.Uint32(raw), binary.BigEndian.Uint32(raw[4:]), raw[8:]
	if int(size) > len(content) || crc32.Checksum(content[:size], castagnoli) != sum {
		return nil, nil //nolint:nilnil // there is none
	}
	c := &commit{}
	if err := json.Unmarshal(content[:size], c); err != nil {
		return nil, fmt.Errorf("%s: %w", string(f), err)
	}
	return c, nil
}

func (f commitFile) remove() error {
	if err := os.Remove(string(f)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// watch writes each commit down before the broker of cluster begins it. The file stays open as long as the cluster.
func (f commitFile) watch(cluster *kfake.Cluster, failed func(error)) (unwatch func() error, err error) {
	file, err := os.OpenFile(string(f), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	w := &watcher{offsets: map[int64]*commit{}}
	observe := func(key kmsg.Key, see func(kmsg.Request) error) {
		cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			err := see(r)
			return nil, err, err != nil // without an error the broker goes on as if nobody had looked
		})
	}
	observe(kmsg.TxnOffsetCommit, func(r kmsg.Request) error {
		if r, ok := r.(*kmsg.TxnOffsetCommitRequest); ok {
			w.add(r)
		}
		return nil
	})
	observe(kmsg.EndTxn, func(r kmsg.Request) error {
		end, ok := r.(*kmsg.EndTxnRequest)
		if !ok {
			return nil
		}
		c := w.pop(end)
		if !end.Commit || end.Version < ownEpochs {
			return nil
		}
		err := f.write(file, c)
		if err != nil { // what cannot be finished after a kill is not begun
			failed(err)
		}
		return err
	})
	return file.Close, nil
}

// watcher knows the offsets of the transactions that are open.
type watcher struct {
	mu      sync.Mutex
	offsets map[int64]*commit // by producer id
}

func (w *watcher) add(r *kmsg.TxnOffsetCommitRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.offsets[r.ProducerID]
	if c == nil || c.Epoch != r.ProducerEpoch {
		c = &commit{Producer: r.ProducerID, Epoch: r.ProducerEpoch}
		w.offsets[r.ProducerID] = c
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			o := groupOffset{Group: r.Group, Topic: t.Topic, TopicID: t.TopicID, Partition: p.Partition, At: p.Offset}
			if p.Metadata != nil {
				o.Metadata = *p.Metadata
			}
			c.Offsets = append(c.Offsets, o)
		}
	}
}

// pop forgets a producer's offsets, and returns its commit.
func (w *watcher) pop(r *kmsg.EndTxnRequest) *commit {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.offsets[r.ProducerID]
	delete(w.offsets, r.ProducerID)
	if c == nil || c.Epoch != r.ProducerEpoch {
		c = &commit{Producer: r.ProducerID, Epoch: r.ProducerEpoch}
	}
	return c
}

// finish commits the offsets that are not there yet, or that are behind.
func (c *commit) finish(ctx context.Context, brokers []string) error {
	if len(c.Offsets) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	all, err := adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	for group, offsets := range c.groups(all) {
		there := adm.FetchManyOffsets(ctx, group)[group] // an unknown group has none
		offsets.KeepFunc(func(o kadm.Offset) bool {
			old, ok := there.Fetched.Lookup(o.Topic, o.Partition)
			return !ok || old.At < o.At
		})
		if len(offsets.Sorted()) == 0 {
			continue
		}
		if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
			return fmt.Errorf("offsets of %s: %w", group, err)
		}
	}
	return nil
}

// groups are the offsets by group, without those of topics that were deleted since.
func (c *commit) groups(all kadm.TopicDetails) map[string]kadm.Offsets {
	names := map[[16]byte]string{}
	for name, topic := range all {
		names[topic.ID] = name
	}
	groups := map[string]kadm.Offsets{}
	for _, o := range c.Offsets {
		if o.Topic == "" {
			o.Topic = names[o.TopicID]
		}
		if !all.Has(o.Topic) {
			continue
		}
		offsets := groups[o.Group]
		offsets.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: o.At, LeaderEpoch: -1, Metadata: o.Metadata})
		groups[o.Group] = offsets
	}
	return groups
}
