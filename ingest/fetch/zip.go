package fetch

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
)

// zipMagic begins a zip archive that is not empty.
const zipMagic = "PK\x03\x04"

// zipFiles is how many files an archive may have: their list is held in memory.
const zipFiles = 10_000

// unzipped is the only file in an archive, or the only one whose name matches; its checksum is looked at, too. What is
// no archive stays as it is.
type unzipped struct {
	io.Reader

	packed *Body
	file   io.Closer
}

// Close gives back what the archive takes.
func (u *unzipped) Close() {
	if u.file != nil {
		_ = u.file.Close()
	}
	if u.packed != nil {
		u.packed.Close()
	}
}

// unzip receives an archive whole, as its list of files is at its end. size is -1 afterwards if it was one.
func (c *Client) unzip(r io.Reader, size int64, h http.Header) (*unzipped, int64, error) {
	if !mayBeFile(h) {
		return &unzipped{Reader: r}, size, nil
	}
	begins := bufio.NewReader(r)
	if magic, _ := begins.Peek(len(zipMagic)); string(magic) != zipMagic { // what ails the answer, its reader meets, too
		return &unzipped{Reader: begins}, size, nil
	}
	packed, err := c.memory.Receive(limited(begins, c.h.MaxBody), size)
	u := &unzipped{packed: packed}
	if err == nil {
		err = u.open(c.ZipEntry)
	}
	if err != nil {
		u.Close()
		return nil, -1, err
	}
	return u, -1, nil
}

// open finds the file; pattern is as that of [path.Match], or empty.
func (u *unzipped) open(pattern string) error {
	at, ok := u.packed.Reader().(io.ReaderAt)
	if mem := u.packed.Bytes(); mem != nil {
		at, ok = bytes.NewReader(mem), true
	}
	if !ok {
		return errors.New("zip: the archive cannot be read")
	}
	archive, err := zip.NewReader(at, u.packed.Size())
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	if len(archive.File) > zipFiles {
		return fmt.Errorf("zip: the archive has %d files, more than %d", len(archive.File), zipFiles)
	}
	var found []*zip.File
	var names []string
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if len(names) < 5 {
			names = append(names, fmt.Sprintf("%.60q", f.Name))
		}
		matches, err := path.Match(pattern, f.Name)
		base, _ := path.Match(pattern, path.Base(f.Name))
		if err == nil && (pattern == "" || matches || base) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("zip: %d files of the archive match, and one is wanted: ingest.zip_entry says which; it has %s", len(found), strings.Join(names, ", "))
	}
	file, err := found[0].Open()
	if err != nil {
		return fmt.Errorf("zip: %.60q: %w", found[0].Name, err)
	}
	u.Reader, u.file = file, file
	return nil
}
