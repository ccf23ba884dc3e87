package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type job struct {
	folder                string
	keys, held, witnesses []string
	samples               int
	seed                  int64
}

// judge checks all that can be checked of a log by its public files alone; it prints each thing that it has shown.
func judge(j job) error {
	keys, err := verifiers(j.keys, logKey)
	if err != nil {
		return err
	}
	witnesses, err := verifiers(j.witnesses, witnessKey)
	if err != nil {
		return err
	}
	now, err := openCheckpoint(j.folder+"/checkpoint", keys, witnesses)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	fmt.Printf("checkpoint: %s, size %d, signed by %s\n", now.origin, now.tree.N, strings.Join(now.signers, " and "))
	files := &folder{j.folder, make(map[tlog.Tile][]byte)}
	hashes := tlog.TileHashReader(now.tree, files)
	if now.tree.N == 0 {
		if now.tree.Hash != sha256.Sum256(nil) {
			return errors.New("a tree without leaves has another root")
		}
	} else if err := checkTree(now.tree, files, hashes, j); err != nil {
		return err
	}
	for _, path := range j.held {
		then, err := openCheckpoint(path, keys, nil)
		if err != nil {
			return fmt.Errorf("checkpoint held: %w", err)
		}
		if err := goesOn(then, now, hashes); err != nil {
			return err
		}
		fmt.Printf("consistent with the checkpoint held of size %d\n", then.tree.N)
	}
	fmt.Println("accepted")
	return nil
}

func verifiers(texts []string, parse func(string) (note.Verifier, error)) ([]note.Verifier, error) {
	var all []note.Verifier
	for _, text := range texts {
		key, err := parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	return all, nil
}

func checkTree(tree tlog.Tree, files *folder, hashes tlog.HashReader, j job) error {
	made, err := checkEntries(tree, files)
	if err != nil {
		return err
	}
	if err := checkFiles(tree, files, made); err != nil {
		return err
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return fmt.Errorf("tiles of the root: %w", err)
	}
	if root != tree.Hash {
		return errors.New("the tiles make another root")
	}
	return checkInclusion(tree, files, hashes, j)
}

// stored holds the hashes of a tree by their index, as tlog.StoredHashes makes them.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	all := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(s)) {
			return nil, fmt.Errorf("there is no hash %d", index)
		}
		all[i] = s[index]
	}
	return all, nil
}

// checkEntries makes the whole tree from the entries and compares its root with the signed one. No tile is believed for it, nor
// tlog.TileHashReader: that of x/mod 0.7 leaves unproved the first tiles below those of the root, as many as the root has
// subtrees beyond one a tile.
func checkEntries(tree tlog.Tree, files *folder) (stored, error) {
	var made stored
	for first := int64(0); first < tree.N; first += tileWidth {
		entries, err := files.bundle(bundleAt(first/tileWidth, tree.N))
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			hashes, err := tlog.StoredHashes(first+int64(i), entry, made)
			if err != nil {
				return nil, err
			}
			made = append(made, hashes...)
		}
	}
	root, err := tlog.TreeHash(tree.N, made)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, errors.New("the entries make another root than the one signed")
	}
	fmt.Printf("the entries make the root, 0 to %d\n", tree.N-1)
	return made, nil
}

// checkFiles holds every tile that the tree needs, and every other tile and bundle that lies there, as partial ones of earlier
// sizes do, against the tree that the entries made.
func checkFiles(tree tlog.Tree, files *folder, made stored) error {
	compare := func(t tlog.Tile) error {
		right, err := tlog.ReadTileData(t, made)
		if err != nil {
			return err
		}
		there, err := files.tile(t)
		if err == nil && !bytes.Equal(right, there) {
			err = fmt.Errorf("%s is not of this tree", c2spPath(t))
		}
		return err
	}
	needed := tlog.NewTiles(height, 0, tree.N)
	for i, t := range needed {
		// Of the partial tiles of one place the last is the one of this size.
		if i+1 < len(needed) && needed[i+1].L == t.L && needed[i+1].N == t.N {
			continue
		}
		if err := compare(t); err != nil {
			return err
		}
	}
	judged, beyond := 0, 0
	foreign, err := files.tiles(func(t tlog.Tile) error {
		level := t.L
		if level < 0 {
			level = 0
		}
		// What this size has at that level; beyond level 7 no size has anything.
		if level > 7 || t.N > tree.N || t.N*tileWidth+int64(t.W) > tree.N>>uint(level*height) {
			beyond++
			return nil
		}
		judged++
		if t.L < 0 {
			return sameEntries(t, tree, files)
		}
		return compare(t)
	})
	if err != nil {
		return err
	}
	fmt.Printf("every tile and bundle is of that tree: %d files", judged)
	if beyond+foreign > 0 {
		fmt.Printf(" (not judged: %d beyond the checkpoint, %d with no tile's name)", beyond, foreign)
	}
	fmt.Println()
	return nil
}

// sameEntries compares a bundle with the widest one of its place, whose entries were hashed.
func sameEntries(t tlog.Tile, tree tlog.Tree, files *folder) error {
	widest, err := files.bundle(bundleAt(t.N, tree.N))
	if err != nil {
		return err
	}
	there, err := files.bundle(t)
	if err != nil {
		return err
	}
	for i := range there {
		if !bytes.Equal(there[i], widest[i]) {
			return fmt.Errorf("%s holds another entry %d", c2spPath(t), t.N*tileWidth+int64(i))
		}
	}
	return nil
}

// checkInclusion proves leaves at the edges and some drawn ones, from the entry's bytes to the root.
func checkInclusion(tree tlog.Tree, files *folder, hashes tlog.HashReader, j job) error {
	chosen := map[int64]bool{0: true, tree.N - 1: true, tree.N / 2: true}
	for edge := int64(1); edge <= tree.N; edge *= 2 {
		for _, n := range []int64{edge - 1, edge, tree.N - edge} {
			if n >= 0 && n < tree.N {
				chosen[n] = true
			}
		}
	}
	drawn := rand.New(rand.NewSource(j.seed))
	for i := 0; i < j.samples; i++ {
		chosen[drawn.Int63n(tree.N)] = true
	}
	for n := range chosen {
		entries, err := files.bundle(bundleAt(n/tileWidth, tree.N))
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, n, hashes)
		if err != nil {
			return fmt.Errorf("proof of leaf %d: %w", n, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(entries[n%tileWidth])); err != nil {
			return fmt.Errorf("leaf %d is not included: %w", n, err)
		}
	}
	fmt.Printf("inclusion proved of %d leaves, seed %d\n", len(chosen), j.seed)
	return nil
}

// goesOn says whether the tree of now contains the tree of then as its beginning.
func goesOn(then, now checkpoint, hashes tlog.HashReader) error {
	switch {
	case then.origin != now.origin:
		return fmt.Errorf("the checkpoint held is of the log %s", then.origin)
	case then.tree.N > now.tree.N:
		return fmt.Errorf("the log was %d long and is %d", then.tree.N, now.tree.N)
	case then.tree.N == now.tree.N:
		if then.tree.Hash != now.tree.Hash {
			return fmt.Errorf("two roots of size %d", now.tree.N)
		}
		return nil
	case then.tree.N == 0:
		if then.tree.Hash != sha256.Sum256(nil) {
			return errors.New("a tree without leaves has another root")
		}
		return nil
	}
	proof, err := tlog.ProveTree(now.tree.N, then.tree.N, hashes)
	if err != nil {
		return fmt.Errorf("proof of consistency: %w", err)
	}
	if err := tlog.CheckTree(proof, now.tree.N, now.tree.Hash, then.tree.N, then.tree.Hash); err != nil {
		return fmt.Errorf("the log does not go on from the checkpoint of size %d: %w", then.tree.N, err)
	}
	return nil
}

// bundleAt names a bundle of entries, as wide as a tree of that size makes it.
func bundleAt(n, size int64) tlog.Tile {
	width := int64(tileWidth)
	if left := size - n*tileWidth; left < width {
		width = left
	}
	return tlog.Tile{H: height, L: -1, N: n, W: int(width)}
}
