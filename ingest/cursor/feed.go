package cursor

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// feedVersion is the version of the format.
const feedVersion = 1

// Feed is how far a child stream has read a partition of its parent's raw topic. It is committed with the children that
// were listed from what is before it.
type Feed struct {
	Version    int    `json:"v"`              // 0: nothing was read
	Next       int64  `json:"next"`           // offset of the next record
	Raw        string `json:"raw"`            // id of the parent's raw topic; empty: not known
	Generation int64  `json:"generation"`     // grows when Next begins again at the start; from 1
	Of         string `json:"of"`             // hash of what children are made from
	Pass       int64  `json:"pass,omitempty"` // number of the pass after which a new child begins: that of the last reset
}

// Encode is the position as the state topic holds it.
func (f Feed) Encode() ([]byte, error) {
	f.Version = feedVersion
	return json.Marshal(f)
}

// DecodeFeed reads what [Feed.Encode] gave for that key.
func DecodeFeed(key string, b []byte) (Feed, error) {
	var f Feed
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("position %s: %w", key, err)
	}
	if f.Version != feedVersion {
		return f, fmt.Errorf("position %s has version %d and this program knows %d: run the newer millrace", key, f.Version, feedVersion)
	}
	return f, nil
}

// feedPrefix begins the keys of feeds. No name of a stream has a colon.
const feedPrefix = "feed:"

// FeedKey names a feed in the state topic.
func FeedKey(stream string, partition int32) string {
	return feedPrefix + stream + ":" + strconv.Itoa(int(partition))
}

// IsFeedKey reports whether a key of the state topic names a feed.
func IsFeedKey(key string) bool { return strings.HasPrefix(key, feedPrefix) }
