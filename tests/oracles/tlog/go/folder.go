package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	height    = 8
	tileWidth = 1 << height
	tileMax   = tileWidth * tlog.HashSize
	// An entry has at most 2^16-1 bytes behind its length (C2SP tlog-tiles).
	bundleMax = tileWidth * (2 + 1<<16)
	cachedMax = 4096
)

// A folder holds tiles as C2SP tlog-tiles lays them out; it is what a web server would serve.
type folder struct {
	root string
	// Tiles that were proved to be of the tree.
	proved map[tlog.Tile][]byte
}

// c2spPath is Go's path without the height, which C2SP fixes, and with its word for data.
func c2spPath(t tlog.Tile) string {
	path := strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

func parsePath(path string) (tlog.Tile, error) {
	rest := strings.TrimPrefix(path, "tile/")
	if strings.HasPrefix(rest, "entries/") {
		rest = "data/" + strings.TrimPrefix(rest, "entries/")
	}
	return tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", height, rest))
}

func (f *folder) Height() int { return height }

func (f *folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		known, ok := f.proved[tile]
		if !ok {
			read, err := f.tile(tile)
			if err != nil {
				return nil, err
			}
			known = read
		}
		all[i] = known
	}
	return all, nil
}

func (f *folder) SaveTiles(tiles []tlog.Tile, all [][]byte) {
	if len(f.proved) > cachedMax {
		f.proved = make(map[tlog.Tile][]byte)
	}
	for i, tile := range tiles {
		f.proved[tile] = all[i]
	}
}

// tile reads a tile, or its beginning in the full tile if the partial one was taken away, as C2SP permits.
func (f *folder) tile(t tlog.Tile) ([]byte, error) {
	read, err := f.file(t, tileMax)
	if errors.Is(err, fs.ErrNotExist) && t.W < tileWidth {
		full := t
		full.W = tileWidth
		if read, err = f.file(full, tileMax); err == nil && len(read) == tileMax {
			return read[:t.W*tlog.HashSize], nil
		}
	}
	if err == nil && len(read) != t.W*tlog.HashSize {
		err = fmt.Errorf("%s has %d bytes, not %d", c2spPath(t), len(read), t.W*tlog.HashSize)
	}
	return read, err
}

// bundle reads the entries of a tile of level 0.
func (f *folder) bundle(t tlog.Tile) ([][]byte, error) {
	read, err := f.file(t, bundleMax)
	width := t.W
	if errors.Is(err, fs.ErrNotExist) && t.W < tileWidth {
		full := t
		full.W, width = tileWidth, tileWidth
		read, err = f.file(full, bundleMax)
	}
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(read) > 0 {
		if len(read) < 2 || len(read)-2 < int(binary.BigEndian.Uint16(read)) {
			return nil, fmt.Errorf("%s is cut short", c2spPath(t))
		}
		end := 2 + int(binary.BigEndian.Uint16(read))
		entries, read = append(entries, read[2:end]), read[end:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%s holds %d entries, not %d", c2spPath(t), len(entries), width)
	}
	return entries[:t.W], nil
}

func (f *folder) file(t tlog.Tile, max int) ([]byte, error) {
	return readAtMost(filepath.Join(f.root, filepath.FromSlash(c2spPath(t))), max)
}

// tiles calls back with every file under tile/ that has the name of a tile; returns how many have not.
func (f *folder) tiles(each func(tlog.Tile) error) (foreign int, err error) {
	err = filepath.WalkDir(filepath.Join(f.root, "tile"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(f.root, path)
		if err != nil {
			return err
		}
		tile, err := parsePath(filepath.ToSlash(relative))
		if err != nil {
			foreign++
			return nil
		}
		return each(tile)
	})
	return foreign, err
}

func readAtMost(path string, max int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	read, err := io.ReadAll(io.LimitReader(file, int64(max)+1))
	if err == nil && len(read) > max {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), max)
	}
	return read, err
}
