//! What every adapter of the sealer's ports must pass. A claim that does not hold panics with its sentence. Each function wants
//! ports of a log of its own, as a new store has them.

use futures::future::join_all;

use super::{
    BundleName, KeyInMemory, Published, Replaced, SealError, SealHead, Sealed, Sealer, Signer, Swapped, Turn, Unsealed,
};
use crate::note::Note;
use crate::tiles::{Edge, TileKind, TilePath, entries_of, tiles_between};
use crate::{Checkpoint, Frontier, Head, LeafHash, Log, Origin, leaf_hash};

fn head(size: u8) -> Head {
    let mut frontier = Frontier::new();
    (0..size).for_each(|n| frontier.push(LeafHash([n; 32])));
    Head::of(frontier)
}

fn sealed(size: u8, mark: u8) -> Sealed {
    let name = format!("0-{size}-{}", format!("{mark:02x}").repeat(16));
    Sealed { head: head(size), staged: BundleName::parse(&name) }
}

/// Claims of a cell that was never swapped.
pub async fn a_cell_is_swapped_by_whoever_saw_it_and_nobody_else(cell: &dyn SealHead) {
    let empty = cell.load().await.expect("a load");
    assert_eq!(empty, Sealed::empty(), "the cell of a new log is empty");
    let (one, other) = (sealed(3, 1), sealed(4, 2));
    assert_eq!(cell.swap(&empty, &one).await.expect("a swap"), Swapped::Done);
    assert_eq!(cell.load().await.expect("a load"), one, "what was swapped in is loaded");
    assert_eq!(cell.swap(&empty, &other).await.expect("a swap"), Swapped::Lost, "who saw an older value loses");
    let same_tree = Sealed { staged: sealed(3, 9).staged, ..one.clone() };
    assert_eq!(cell.swap(&same_tree, &other).await.expect("a swap"), Swapped::Lost, "the whole value is compared");
    assert_eq!(cell.load().await.expect("a load"), one, "a lost swap changes nothing");
    let swaps = (0..8).map(|mark| {
        let (one, to) = (one.clone(), sealed(5, 10 + mark));
        async move { cell.swap(&one, &to).await.expect("a swap") == Swapped::Done }
    });
    let done = join_all(swaps).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "of many swaps from one value one is done");
}

/// Claims of a publication in which nothing was published. `kept` returns the checkpoint that is kept of a size.
pub async fn what_is_published_stays(published: &dyn Published, kept: impl AsyncFn(u64) -> Option<Vec<u8>>) {
    tiles_are_written_once(published).await;
    bundles_wait_until_they_are_let_go(published).await;
    a_checkpoint_is_replaced_by_whoever_saw_it(published).await;
    checkpoints_are_kept_by_size(published, kept).await;
}

fn tile(index: u64, width: u16, byte: u8) -> (TilePath, Vec<u8>) {
    let path = TilePath { kind: TileKind::Hashes(0), index, width };
    (path, vec![byte; 32 * usize::from(width)])
}

async fn tiles_are_written_once(published: &dyn Published) {
    let (partial, more) = (tile(1_234_067, 3, 1), tile(1_234_067, 9, 1));
    assert_eq!(published.tile(&partial.0).await.expect("a read"), None, "what was not written is not there");
    published.write_tiles(&[partial.clone(), more.clone()]).await.expect("a write");
    published.write_tiles(std::slice::from_ref(&partial)).await.expect("the same again is done already");
    assert_eq!(published.tile(&partial.0).await.expect("a read"), Some(partial.1.clone()), "as it was written");
    let other = tile(1_234_067, 3, 2);
    let refused = published.write_tiles(std::slice::from_ref(&other)).await;
    assert!(matches!(refused, Err(SealError::Damaged { .. })), "other bytes are refused: {refused:?}");
    assert_eq!(published.tile(&partial.0).await.expect("a read"), Some(partial.1), "and change nothing");
    published.mend_tiles(std::slice::from_ref(&other)).await.expect("mended");
    assert_eq!(published.tile(&other.0).await.expect("a read"), Some(other.1), "mending replaces");
    let full = tile(1_234_067, 256, 1);
    published.write_tiles(std::slice::from_ref(&full)).await.expect("a write");
    published.drop_partials(&[full.0]).await.expect("dropped");
    published.drop_partials(&[full.0]).await.expect("dropping twice is dropping once");
    assert_eq!(published.tile(&more.0).await.expect("a read"), None, "partial tiles go");
    assert_eq!(published.tile(&full.0).await.expect("a read"), Some(full.1), "the full tile stays");
}

async fn bundles_wait_until_they_are_let_go(published: &dyn Published) {
    let name = BundleName::parse(&format!("0-5-{}", "0a".repeat(16))).expect("a name");
    assert_eq!(published.staged(&name).await.expect("a read"), None);
    published.stage(&name, b"bundle").await.expect("staged");
    published.stage(&name, b"bundle").await.expect("the same again is done already");
    assert_eq!(published.staged(&name).await.expect("a read"), Some(b"bundle".to_vec()));
    assert!(published.stage(&name, b"other").await.is_err(), "other bytes are refused");
    assert_eq!(published.staged_names().await.expect("a list"), std::slice::from_ref(&name));
    published.unstage(&name).await.expect("let go");
    published.unstage(&name).await.expect("what is gone is done");
    assert_eq!(published.staged(&name).await.expect("a read"), None);
}

fn note(origin: &Origin, size: u8, signers: &[u8]) -> Vec<u8> {
    let text = Checkpoint::new(origin, u64::from(size), head(size).root).to_string();
    let key =
        |seed: &u8| crate::note::NoteKey::from_seed("w", crate::note::KeyKind::Ed25519, &[*seed; 32]).expect("a key");
    let lines = signers.iter().map(|seed| key(seed).sign(&text, 0)).collect();
    Note::new(text, lines).expect("a note").to_string().into_bytes()
}

fn origin() -> Origin {
    Origin::parse("medimg/test/00112233445566778899aabbccddeeff").expect("an origin")
}

async fn a_checkpoint_is_replaced_by_whoever_saw_it(published: &dyn Published) {
    let [first, second, third] = [3, 4, 5].map(|size| note(&origin(), size, &[1]));
    assert_eq!(published.checkpoint().await.expect("a read"), None);
    let replaced =
        async |seen: Option<&[u8]>, next: &[u8]| published.replace_checkpoint(seen, next).await.expect("a call");
    assert_eq!(replaced(None, &first).await, Replaced::Done);
    assert_eq!(replaced(None, &second).await, Replaced::Lost, "one is there by now");
    assert_eq!(replaced(Some(&first), &second).await, Replaced::Done);
    assert_eq!(replaced(Some(&first), &third).await, Replaced::Lost, "who saw an older one loses");
    assert_eq!(published.checkpoint().await.expect("a read"), Some(second));
}

async fn checkpoints_are_kept_by_size(published: &dyn Published, kept: impl AsyncFn(u64) -> Option<Vec<u8>>) {
    let [one, other] = [[1], [2]].map(|signers| note(&origin(), 7, &signers));
    published.keep_checkpoint(7, &one).await.expect("kept");
    published.keep_checkpoint(7, &one).await.expect("the same again is done already");
    assert_eq!(kept(7).await, Some(one));
    published.keep_checkpoint(7, &other).await.expect("kept");
    let both = Note::parse(&kept(7).await.expect("kept")).expect("a note");
    assert_eq!(both.signatures().len(), 2, "signatures are added");
    let forked = Checkpoint::new(&origin(), 7, head(8).root).to_string();
    let signed =
        crate::note::NoteKey::from_seed("w", crate::note::KeyKind::Ed25519, &[1; 32]).expect("a key").sign(&forked, 0);
    let forked = Note::new(forked, vec![signed]).expect("a note").to_string().into_bytes();
    let refused = published.keep_checkpoint(7, &forked).await;
    assert!(matches!(refused, Err(SealError::Forked { .. })), "one size has one root: {refused:?}");
}

/// Claims of the unsealed end of a log, of which nothing is sealed and which holds more than 20 entries.
pub async fn what_is_not_sealed_comes_in_the_order_of_its_leaves<U: Unsealed + ?Sized, L: Log>(unsealed: &U, log: &L) {
    let all = log.head().await.expect("a head");
    assert!(all.size > 20, "the log is to hold more than 20 entries");
    let (mut at, mut frontier) = (Head::of(Frontier::new()), Frontier::new());
    loop {
        let batch = unsealed.next(&at, 7).await.expect("a batch");
        assert!(batch.headers.len() <= 7, "the limit holds");
        let again = unsealed.next(&at, 7).await.expect("a batch");
        assert_eq!(again, batch, "of one head the same entries come");
        if batch.headers.is_empty() {
            break;
        }
        batch.headers.iter().for_each(|header| frontier.push(leaf_hash(header)));
        at = Head::of(frontier.clone());
        assert_eq!(batch.end.is_some(), at.size == all.size, "the log's head comes with its end");
        unsealed.sealed(&batch.marks, &at).await.expect("marked");
        unsealed.sealed(&batch.marks, &at).await.expect("marking twice is marking once");
    }
    assert_eq!(at, all, "nothing is passed over");
    let mut beyond = frontier;
    beyond.push(LeafHash([1; 32]));
    let refused = unsealed.next(&Head::of(beyond), 7).await;
    assert!(matches!(refused, Err(SealError::RolledBack { .. })), "a log that is too short is refused: {refused:?}");
}

/// Claims that a signer's signature verifies, and that the same text always has the same.
pub async fn the_same_text_has_the_same_signature(signer: &dyn Signer) {
    let text = Checkpoint::new(&origin(), 3, head(3).root).to_string();
    let (one, again) = (signer.sign(&text).await.expect("signed"), signer.sign(&text).await.expect("signed"));
    assert_eq!(one, again, "a signature is a function of key and text");
    let note = Note::new(text, vec![one]).expect("a note");
    assert!(note.verify(std::slice::from_ref(signer.verifier())).is_ok(), "the public half verifies it");
}

/// Claims that a sealer over these ports seals a log of more than 20 entries: everything published, and as the log has it.
pub async fn a_sealer_publishes_the_log<H: SealHead, U: Unsealed, P: Published, L: Log>(
    origin: Origin,
    ports: (H, U, P),
    log: &L,
) {
    let (cell, unsealed, published) = ports;
    let signer = KeyInMemory::of(&origin, &[5; 32]).expect("a key");
    let sealer = Sealer::new(origin, cell, unsealed, published, signer).with_entries_max(9);
    assert!(matches!(sealer.turn().await.expect("a turn"), Turn::Sealed { from: 0, to: 9 }));
    let sealed = sealer.seal().await.expect("sealed");
    assert_eq!(sealed, log.head().await.expect("a head"));
    let bytes = sealer.published().checkpoint().await.expect("a read").expect("one is published");
    let note = Note::parse(&bytes).expect("a note");
    assert!(note.verify(std::slice::from_ref(sealer.signer().verifier())).is_ok());
    let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    assert_eq!((checkpoint.size, checkpoint.root), (sealed.size, sealed.root));
    let mut edge = Edge::new();
    for path in tiles_between(0, sealed.size).filter(|path| path.kind == TileKind::Entries) {
        let bytes = sealer.published().tile(&path).await.expect("a read").expect("a bundle of the log");
        for entry in entries_of(&bytes).expect("entries") {
            edge.push(entry, &mut Vec::new()).expect("short");
        }
    }
    assert_eq!(edge.root(), sealed.root, "the entries that are published hash to the root");
    assert!(matches!(sealer.turn().await.expect("a turn"), Turn::Idle(_)), "nothing is left");
}
