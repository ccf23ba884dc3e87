// Judges a published log with the Go project's own code for transparency logs, golang.org/x/mod/sumdb/{note,tlog}:
// signature, every tile, every entry, inclusion, and consistency with the checkpoints that the caller holds.
// Of this program are only the layout of the folder, the three lines of a checkpoint and the cosignature (C2SP).
//
//	tlog-check -vkey KEY [-vkey KEY] [-held FILE] [-witness KEY] [-samples N] [-seed N] FOLDER
//	tlog-check -sign SEED-FILE -name NAME -kind 1|4 TEXT-FILE     prints the text signed, for forgeries of the tests
//
// It prints what it checked and exits 0, or names what is wrong and exits 1. 2: it was called wrongly.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

type words []string

func (w *words) String() string         { return strings.Join(*w, " ") }
func (w *words) Set(value string) error { *w = append(*w, value); return nil }

func main() {
	var keys, held, witnesses words
	flag.Var(&keys, "vkey", "verifier key of the log; every one that may have signed")
	flag.Var(&held, "held", "file of a checkpoint that the log must go on from")
	flag.Var(&witnesses, "witness", "verifier key (type 4) of a witness that must have cosigned")
	samples := flag.Int("samples", 200, "leaves whose inclusion is proved, beside those at the edges")
	seed := flag.Int64("seed", 20261124, "draws the samples")
	signer := flag.String("sign", "", "sign a text with the 32 bytes in this file instead")
	name := flag.String("name", "", "with -sign: the key's name")
	kind := flag.Int("kind", algEd25519, "with -sign: 1, or 4 for a cosignature")
	flag.Parse()
	if flag.NArg() != 1 || (*signer == "" && len(keys) == 0) {
		flag.Usage()
		os.Exit(2)
	}
	var err error
	if *signer != "" {
		err = sign(*signer, *name, *kind, flag.Arg(0))
	} else {
		err = judge(job{flag.Arg(0), keys, held, witnesses, *samples, *seed})
	}
	if err != nil {
		fmt.Println("REJECTED:", err)
		os.Exit(1)
	}
}
