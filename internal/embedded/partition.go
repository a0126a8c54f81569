package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// partition is what a scan of one partition's files found: the transactions that are open at the log's end, and what is
// needed to append a marker. kfake keeps a partition as segments, <first offset>.dat, of Kafka's record batches
// (version 2) one after the other, and beside each an index, .idx, with an entry of indexEntry bytes for each batch.
type partition struct {
	dir         string
	base        string // name of the last segment, without suffix; empty: nothing was written yet
	next        int64  // offset after the last batch
	leaderEpoch int32
	open        map[int64]int16 // epoch of the transaction that a producer id has open
	aborted     bool            // the transaction that scanPartition was asked about is aborted here
}

const (
	batchHeader = 61 // bytes, as far as the records
	indexEntry  = 15
	indexFormat = 1 // the version in each entry

	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the head of one record batch.
type batch struct {
	first, last  int64 // offsets
	leaderEpoch  int32
	attributes   int16
	maxTimestamp int64
	producer     int64
	epoch        int16
	size         int64 // of all of it, bytes
}

func (b batch) inTransaction() bool {
	return b.attributes&attrTransactional != 0 && b.attributes&attrControl == 0
}

// scanPartition reads all batches of a partition, and repairs the end of its last segment: bytes that are no whole
// batch go, index entries that are missing are written. asked may be nil.
func scanPartition(dir string, asked *commit) (*partition, error) {
	p := &partition{dir: dir, open: map[int64]int16{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, f := range files {
		base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(f), ".dat"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: not a segment", f)
		}
		bases = append(bases, base)
	}
	slices.Sort(bases)
	for i, base := range bases {
		p.base = strconv.FormatInt(base, 10)
		if err := p.scanSegment(asked, i == len(bases)-1); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, p.base), err)
		}
	}
	return p, nil
}

func (p *partition) path(suffix string) string { return filepath.Join(p.dir, p.base+suffix) }

func (p *partition) scanSegment(asked *commit, last bool) error {
	f, err := os.Open(p.path(".dat"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 256<<10)
	var size int64
	var index []byte // as it should be
	for {
		b, records, err := readBatch(r)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return err
		}
		size += b.size
		p.next, p.leaderEpoch = b.last+1, b.leaderEpoch
		index = appendIndex(index, b)
		if err := p.follow(b, records, asked); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	return p.truncate(size, index)
}

// follow keeps account of transactions.
func (p *partition) follow(b batch, records []byte, asked *commit) error {
	if b.attributes&attrControl == 0 {
		if b.inTransaction() {
			p.open[b.producer] = b.epoch
		}
		return nil
	}
	committed, err := isCommit(records)
	if err != nil {
		return err
	}
	epoch, open := p.open[b.producer]
	if open && !committed && asked != nil && asked.Producer == b.producer && asked.Epoch == epoch {
		p.aborted = true
	}
	delete(p.open, b.producer)
	return nil
}

// isCommit reads a control record.
func isCommit(records []byte) (bool, error) {
	var r kmsg.Record
	var key kmsg.ControlRecordKey
	if err := r.ReadFrom(records); err != nil {
		return false, fmt.Errorf("control record: %w", err)
	}
	if err := key.ReadFrom(r.Key); err != nil {
		return false, fmt.Errorf("control record: %w", err)
	}
	return key.Type == kmsg.ControlRecordKeyTypeCommit, nil
}

// errTorn is the end of what was written whole.
var errTorn = errors.New("torn batch")

// readBatch reads one batch and checks it. records are those of a control batch.
func readBatch(r *bufio.Reader) (b batch, records []byte, err error) {
	var head [batchHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTorn
		}
		return b, nil, err
	}
	be := binary.BigEndian
	b = batch{
		first:        int64(be.Uint64(head[0:])),
		leaderEpoch:  int32(be.Uint32(head[12:])),
		attributes:   int16(be.Uint16(head[21:])),
		maxTimestamp: int64(be.Uint64(head[35:])),
		producer:     int64(be.Uint64(head[43:])),
		epoch:        int16(be.Uint16(head[51:])),
		size:         12 + int64(be.Uint32(head[8:])),
	}
	b.last = b.first + int64(be.Uint32(head[23:]))
	if b.size < batchHeader {
		return b, nil, errTorn
	}
	sum := crc32.New(castagnoli)
	_, _ = sum.Write(head[21:])
	rest := b.size - batchHeader
	if b.attributes&attrControl != 0 && rest < 1<<10 {
		records = make([]byte, rest)
		if _, err := io.ReadFull(r, records); err != nil {
			return b, nil, errTorn
		}
		_, _ = sum.Write(records)
	} else if n, err := io.CopyN(sum, r, rest); err != nil {
		if n < rest && errors.Is(err, io.EOF) {
			err = errTorn
		}
		return b, nil, err
	}
	if sum.Sum32() != be.Uint32(head[17:]) {
		return b, nil, errTorn
	}
	return b, records, nil
}

// truncate cuts the last segment to size and completes its index. An index entry is written after its batch: a kill
// between the two leaves a batch of a transaction that looks like one outside of any.
func (p *partition) truncate(size int64, index []byte) error {
	info, err := os.Stat(p.path(".dat"))
	if err != nil {
		return err
	}
	if info.Size() > size {
		if err := os.Truncate(p.path(".dat"), size); err != nil {
			return err
		}
	}
	have, err := os.ReadFile(p.path(".idx"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	whole := min(len(have)/indexEntry*indexEntry, len(index))
	if len(have) == len(index) && whole == len(index) {
		return nil
	}
	return os.WriteFile(p.path(".idx"), append(have[:whole:whole], index[whole:]...), 0o600) //nolint:gosec // of our own data directory
}

// appendIndex appends the index entry of a batch.
func appendIndex(dst []byte, b batch) []byte {
	var e [indexEntry]byte
	e[0] = indexFormat
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(b.maxTimestamp))
	if b.inTransaction() {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(dst, e[:]...)
}

// end appends the marker that ends a producer's open transaction.
func (p *partition) end(producer int64, commit bool) error {
	marker, b := endMarker(p.next, p.leaderEpoch, producer, p.open[producer], commit)
	for suffix, content := range map[string][]byte{".dat": marker, ".idx": appendIndex(nil, b)} {
		f, err := os.OpenFile(p.path(suffix), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		if _, err := f.Write(content); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	delete(p.open, producer)
	p.next++
	return nil
}

// endMarker is the control batch that ends a transaction.
func endMarker(offset int64, leaderEpoch int32, producer int64, epoch int16, commit bool) ([]byte, batch) {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	value := kmsg.EndTxnMarker{}
	record := kmsg.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // of what comes after the length, which is one byte here
	now := time.Now().UnixMilli()
	rb := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: attrTransactional | attrControl,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1,
		NumRecords: 1, Records: record.AppendTo(nil),
	}
	raw := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw, batch{first: offset, last: offset, leaderEpoch: leaderEpoch, attributes: rb.Attributes, maxTimestamp: now}
}
