package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	algEd25519     = 1
	algCosignature = 4
	checkpointMax  = 64 << 10
)

// A checkpoint is what a signed note says of a tree (C2SP tlog-checkpoint), and who signed it.
type checkpoint struct {
	origin  string
	tree    tlog.Tree
	signers []string
}

// openCheckpoint reads a signed checkpoint: one of the log's keys must have signed it, every witness too, and no
// signature of a key that is given may be wrong.
func openCheckpoint(path string, log, witnesses []note.Verifier) (checkpoint, error) {
	var c checkpoint
	message, err := readAtMost(path, checkpointMax)
	if err != nil {
		return c, err
	}
	opened, err := note.Open(message, note.VerifierList(append(append([]note.Verifier{}, log...), witnesses...)...))
	if err != nil {
		return c, err
	}
	signedByLog, cosigned := false, make(map[uint32]bool)
	for _, sig := range opened.Sigs {
		c.signers = append(c.signers, fmt.Sprintf("%s+%08x", sig.Name, sig.Hash))
		for _, key := range log {
			signedByLog = signedByLog || (key.Name() == sig.Name && key.KeyHash() == sig.Hash)
		}
		for _, key := range witnesses {
			if key.Name() == sig.Name && key.KeyHash() == sig.Hash {
				cosigned[sig.Hash] = true
			}
		}
	}
	if !signedByLog {
		return c, errors.New("no key of the log signed the checkpoint")
	}
	for _, key := range witnesses {
		if !cosigned[key.KeyHash()] {
			return c, fmt.Errorf("the witness %s did not cosign", key.Name())
		}
	}
	if err := c.parse(opened.Text); err != nil {
		return c, err
	}
	for _, key := range log {
		if key.Name() != c.origin {
			return c, fmt.Errorf("a key of %s cannot speak for the log %s", key.Name(), c.origin)
		}
	}
	return c, nil
}

// parse reads origin, size and root; extension lines may follow and say nothing here.
func (c *checkpoint) parse(text string) error {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" || lines[len(lines)-1] != "" {
		return errors.New("a checkpoint has three lines at least")
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return errors.New("a checkpoint has no empty line")
		}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return fmt.Errorf("%q is no size of a tree", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return fmt.Errorf("%q is no root", lines[2])
	}
	c.origin, c.tree.N = lines[0], size
	copy(c.tree.Hash[:], root)
	return nil
}

// logKey reads a verifier key of a log as note.NewVerifier does.
func logKey(text string) (note.Verifier, error) { return note.NewVerifier(strings.TrimSpace(text)) }

// A witness verifies cosignature/v1, which note does not know: eight bytes of time before the signature.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	// A witness whose clock is beyond all doubt wrong says nothing about when it saw the log.
	if at == 0 || at > uint64(time.Now().Add(24*time.Hour).Unix()) {
		return false
	}
	return ed25519.Verify(w.key, cosigned(at, text), sig[8:])
}

func cosigned(at uint64, text []byte) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", at)), text...)
}

func witnessKey(text string) (note.Verifier, error) {
	parts := strings.SplitN(strings.TrimSpace(text), "+", 3)
	if len(parts) != 3 || parts[0] == "" {
		return nil, errors.New("malformed witness key")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return nil, errors.New("a witness key is of type 4")
	}
	hash := keyHash(parts[0], key)
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, errors.New("the hash of a witness key is not its own")
	}
	return witness{parts[0], hash, key[1:]}, nil
}

func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

// A signer signs as the seed's holder would; only the tests' forgeries need it.
type signer struct {
	name string
	kind byte
	key  ed25519.PrivateKey
}

func (s signer) public() []byte  { return append([]byte{s.kind}, s.key.Public().(ed25519.PublicKey)...) }
func (s signer) Name() string    { return s.name }
func (s signer) KeyHash() uint32 { return keyHash(s.name, s.public()) }

func (s signer) Sign(text []byte) ([]byte, error) {
	if s.kind == algEd25519 {
		return ed25519.Sign(s.key, text), nil
	}
	at := uint64(time.Now().Unix())
	stamp := make([]byte, 8)
	binary.BigEndian.PutUint64(stamp, at)
	return append(stamp, ed25519.Sign(s.key, cosigned(at, text))...), nil
}

func sign(seedFile, name string, kind int, textFile string) error {
	seed, err := readAtMost(seedFile, ed25519.SeedSize)
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("a seed has %d bytes: %v", ed25519.SeedSize, err)
	}
	text, err := readAtMost(textFile, checkpointMax)
	if err != nil {
		return err
	}
	by := signer{name, byte(kind), ed25519.NewKeyFromSeed(seed)}
	message, err := note.Sign(&note.Note{Text: string(text)}, by)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s+%08x+%s\n", name, by.KeyHash(), base64.StdEncoding.EncodeToString(by.public()))
	_, err = os.Stdout.Write(message)
	return err
}
