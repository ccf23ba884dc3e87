//! What is done to a log: one row a kind.

use std::fs;

use ledger::note::{KeyKind, Note, NoteKey, VerifierKey};
use ledger::{Actor, Checkpoint, IndexHash, RootHash, StreamKey};

use super::log::{self, Writing, copy, relink, rows, seal, seal_anew, sql, write};
use super::{Bench, Brings, Case, ENTRIES, Expect, SEALED, other_key};

/// The code of what cannot be found.
pub(super) const NOTHING: &str = "";

/// A row of the table.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) brings: Brings,
    /// A finding that must be among those that are told.
    pub(super) code: &'static str,
    /// Does it, and says what must be found.
    pub(super) act: fn(&Bench, &mut Case) -> Expect,
}

const fn kind(name: &'static str, brings: Brings, code: &'static str, act: fn(&Bench, &mut Case) -> Expect) -> Kind {
    Kind { name, brings, code, act }
}

/// Every kind.
#[rustfmt::skip]
pub(super) fn all() -> Vec<Kind> {
    use Brings::{Held, Key, Nothing};
    vec![
        // One entry, as it lies in the file.
        kind("a field altered", Nothing, "leaf_hash", altered),
        kind("a field altered, the entry hashed again", Nothing, "tree_differs", altered_and_hashed),
        kind("a field altered, everything behind it rebuilt with the head", Nothing, "tile_differs", altered_and_rebuilt),
        kind("the same, and all tiles and checkpoints signed anew by the owner", Held(1), "checkpoint_root", altered_and_sealed),
        kind("the same, and nothing was kept elsewhere", Key, NOTHING, altered_and_sealed_unheld),
        kind("the stream renamed in its column", Nothing, "stream_column", stream_column),
        kind("the stream renamed in every entry, all rebuilt", Nothing, "tile_differs", stream_renamed),
        kind("the subject changed, all rebuilt", Nothing, "tile_differs", subject_changed),
        kind("the actor changed, all rebuilt", Nothing, "bundle_differs", actor_changed),
        kind("the body changed", Nothing, "body_hash", body_changed),
        kind("two bodies swapped", Nothing, "body_hash", bodies_swapped),
        kind("the nonce changed", Nothing, "body_hash", nonce_changed),
        kind("a tag changed", Nothing, "tag_added", tag_changed),
        kind("a tag added", Nothing, "tag_added", tag_added),
        kind("a tag removed", Nothing, "tag_missing", tag_removed),
        // Entries of a log.
        kind("an entry deleted", Nothing, "entry_missing", deleted),
        kind("an entry deleted, the rest moved up and rebuilt", Nothing, "tile_differs", deleted_and_rebuilt),
        kind("an entry inserted, the rest rebuilt", Nothing, "tile_differs", inserted),
        kind("two entries swapped as they lie there", Nothing, "tree_differs", swapped),
        kind("two streams reordered, the rest rebuilt", Nothing, "tile_differs", reordered),
        kind("a second entry of the same stream and number", Nothing, "seq_repeated", doubled),
        kind("everything from an entry on written anew, sealed by the owner", Held(1), "checkpoint_root", rebuilt_from),
        kind("the log cut before a checkpoint, the head rebuilt", Nothing, "checkpoint_beyond", cut_before),
        kind("the same, sealed anew by the owner", Held(3), "checkpoint_beyond", cut_before_and_sealed),
        kind("the log cut behind its newest checkpoint", Nothing, "entry_missing", cut_behind),
        kind("the same, the head rebuilt: nobody was told of what was cut", Held(3), NOTHING, cut_behind_and_rebuilt),
        kind("the log forked and gone on with", Held(3), "checkpoint_root", forked),
        kind("an older backup put back", Held(3), "checkpoint_beyond", put_back),
        // Checkpoints and keys.
        kind("a forged checkpoint is shown", Key, "checkpoint_signature", forged),
        kind("a checkpoint signed by somebody else is shown", Key, "checkpoint_signature", signed_by_other),
        kind("a checkpoint of another log is shown", Key, "checkpoint_origin", of_other_log),
        kind("an older checkpoint is shown: true, and told as older", Held(0), NOTHING, older_shown),
        kind("the published checkpoint forged", Nothing, "checkpoint_signature", published_forged),
        kind("an older checkpoint published in its place", Nothing, "checkpoint_older", older_published),
        kind("the published checkpoint removed", Nothing, "checkpoint_missing", checkpoint_removed),
        kind("a kept checkpoint changed", Nothing, "checkpoint_signature", kept_changed),
        kind("the newest kept checkpoint removed", Nothing, "checkpoint_missing", kept_removed),
        kind("the store's key replaced, everything signed by the new one", Key, "checkpoint_signature", key_replaced),
        kind("too few witnesses have signed", Key, "checkpoint_quorum", too_few_witnesses),
        // Rows and files around the log.
        kind("the head row changed", Nothing, "head_root", head_changed),
        kind("the row of what is sealed changed", Nothing, "seal_row", seal_changed),
        kind("two tiles swapped", Nothing, "tile_differs", tiles_swapped),
        kind("a partial tile altered", Nothing, "tile_differs", partial_altered),
        kind("a tile of an upper level altered", Nothing, "tile_differs", upper_altered),
        kind("an entry bundle altered", Nothing, "bundle_differs", bundle_altered),
        kind("a tile removed", Nothing, "tile_missing", tile_removed),
        kind("an entry bundle removed", Nothing, "bundle_missing", bundle_removed),
        kind("a file laid among the tiles", Nothing, "tile_extra", tile_laid),
    ]
}

fn altered(_: &Bench, case: &mut Case) -> Expect {
    sql(
        &case.root,
        &format!("UPDATE entries SET header = replace(header, 'system:', 'system:x') WHERE gseq = {}", case.victim),
    );
    Expect::At(case.victim)
}

/// Gives the victim another actor: a change that nothing but hashes can tell.
fn with_other_actor(case: &Case) -> Vec<log::Row> {
    let mut rows = rows(&case.root);
    rows[case.victim as usize].header.actor = Actor::system("somebody").expect("a step");
    rows
}

fn altered_and_hashed(_: &Bench, case: &mut Case) -> Expect {
    let row = with_other_actor(case).swap_remove(case.victim as usize);
    let header = row.header.render();
    let values =
        rusqlite::params![ledger::leaf_hash(&header).0, String::from_utf8(header).expect("text"), case.victim as i64];
    log::open(&case.root).execute("UPDATE entries SET leaf = ?, header = ? WHERE gseq = ?", values).expect("changed");
    Expect::At(case.victim)
}

fn altered_and_rebuilt(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = with_other_actor(case);
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(case.victim)
}

fn altered_and_sealed(bench: &Bench, case: &mut Case) -> Expect {
    altered_and_rebuilt(bench, case);
    seal_anew(&case.root);
    Expect::From(case.victim)
}

fn altered_and_sealed_unheld(bench: &Bench, case: &mut Case) -> Expect {
    altered_and_sealed(bench, case);
    Expect::Unknowable
}

fn stream_column(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("UPDATE entries SET stream = zeroblob(16) WHERE gseq = {}", case.victim));
    Expect::At(case.victim)
}

fn stream_renamed(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    let stream = rows[case.victim as usize].header.stream;
    let first = rows.iter().position(|row| row.header.stream == stream).expect("it is there");
    rows.iter_mut().filter(|row| row.header.stream == stream).for_each(|row| row.header.stream = StreamKey([9; 16]));
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(first as u64)
}

fn subject_changed(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    rows[case.victim as usize].header.subject = Some(IndexHash { version: 1, hash: [8; 16] });
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(case.victim)
}

fn actor_changed(bench: &Bench, case: &mut Case) -> Expect {
    altered_and_rebuilt(bench, case)
}

fn body_changed(_: &Bench, case: &mut Case) -> Expect {
    let victim = case.victim;
    sql(
        &case.root,
        &format!("UPDATE entries SET body = replace(body, 'specversion', 'specVersion') WHERE gseq = {victim}"),
    );
    Expect::At(victim)
}

fn bodies_swapped(_: &Bench, case: &mut Case) -> Expect {
    let (one, other) = (case.victim, case.victim + 3);
    sql(
        &case.root,
        &format!(
            "UPDATE entries SET body = (SELECT o.body FROM entries o WHERE o.gseq = {one} + {other} - entries.gseq) WHERE gseq IN ({one}, {other})"
        ),
    );
    Expect::At(one)
}

fn nonce_changed(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("UPDATE entries SET nonce = randomblob(16) WHERE gseq = {}", case.victim));
    Expect::At(case.victim)
}

/// The next entry that carries tags.
fn tagged(case: &mut Case) -> u64 {
    let query = format!("SELECT min(gseq) FROM tags WHERE gseq >= {}", case.victim);
    let found: i64 = log::open(&case.root).query_row(&query, [], |row| row.get(0)).expect("a tag");
    case.victim = found as u64;
    case.victim
}

fn tag_changed(_: &Bench, case: &mut Case) -> Expect {
    let victim = tagged(case);
    sql(&case.root, &format!("UPDATE tags SET hash = randomblob(16) WHERE gseq = {victim} AND kind = 'study'"));
    Expect::At(victim)
}

fn tag_added(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("INSERT INTO tags VALUES (randomblob(16), 'study', 1, {})", case.victim));
    Expect::At(case.victim)
}

fn tag_removed(_: &Bench, case: &mut Case) -> Expect {
    let victim = tagged(case);
    sql(&case.root, &format!("DELETE FROM tags WHERE gseq = {victim} AND kind = 'study'"));
    Expect::At(victim)
}

fn deleted(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("DELETE FROM tags WHERE gseq = {0}; DELETE FROM entries WHERE gseq = {0}", case.victim));
    Expect::At(case.victim)
}

fn deleted_and_rebuilt(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    rows.remove(case.victim as usize);
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(case.victim)
}

fn inserted(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    let mut row = rows[case.victim as usize].clone();
    row.header.stream = StreamKey([7; 16]);
    rows.insert(case.victim as usize, row);
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(case.victim)
}

fn swapped(_: &Bench, case: &mut Case) -> Expect {
    let (one, other) = (case.victim, case.victim + 1);
    let mut moves = String::new();
    for table in ["entries", "tags"] {
        for (from, to) in [(one as i64, -1), (other as i64, one as i64), (-1, other as i64)] {
            moves.push_str(&format!("UPDATE {table} SET gseq = {to} WHERE gseq = {from};"));
        }
    }
    sql(&case.root, &moves);
    Expect::At(one)
}

fn reordered(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    let at = case.victim as usize;
    rows.swap(at, at + 1);
    relink(&mut rows);
    write(&case.root, &rows);
    Expect::At(case.victim)
}

fn doubled(_: &Bench, case: &mut Case) -> Expect {
    let victim = case.victim;
    // Only a table without its key takes such a row.
    sql(
        &case.root,
        &format!(
            "CREATE TABLE kept AS SELECT * FROM entries; DROP TABLE entries; ALTER TABLE kept RENAME TO entries; \
         UPDATE entries SET gseq = gseq + 1 WHERE gseq > {victim}; \
         INSERT INTO entries SELECT gseq + 1, stream, seq, leaf, nonce, header, body \
         FROM entries WHERE gseq = {victim}; UPDATE tags SET gseq = -gseq - 1 WHERE gseq > {victim}; \
         UPDATE tags SET gseq = -gseq WHERE gseq < 0; \
         INSERT INTO tags SELECT hash, kind, version, gseq + 1 FROM tags WHERE gseq = {victim}"
        ),
    );
    Expect::At(victim + 1)
}

fn rebuilt_from(_: &Bench, case: &mut Case) -> Expect {
    let mut rows = rows(&case.root);
    for row in rows.iter_mut().skip(case.victim as usize) {
        row.nonce = [5; 16];
    }
    relink(&mut rows);
    write(&case.root, &rows);
    seal_anew(&case.root);
    Expect::From(case.victim)
}

fn cut(case: &Case, size: u64) {
    let mut rows = rows(&case.root);
    rows.truncate(size as usize);
    write(&case.root, &rows);
}

fn cut_before(_: &Bench, case: &mut Case) -> Expect {
    let size = SEALED[2] + case.seeded.below(SEALED[3] - SEALED[2]);
    cut(case, size);
    Expect::At(size)
}

fn cut_before_and_sealed(bench: &Bench, case: &mut Case) -> Expect {
    let expect = cut_before(bench, case);
    seal_anew(&case.root);
    expect
}

fn cut_behind(_: &Bench, case: &mut Case) -> Expect {
    let size = SEALED[3] + case.seeded.below(ENTRIES - SEALED[3]);
    sql(&case.root, &format!("DELETE FROM tags WHERE gseq >= {size}; DELETE FROM entries WHERE gseq >= {size}"));
    Expect::At(size)
}

fn cut_behind_and_rebuilt(_: &Bench, case: &mut Case) -> Expect {
    let size = SEALED[3] + case.seeded.below(ENTRIES - SEALED[3]);
    cut(case, size);
    Expect::Unknowable
}

/// Takes the store back to its first checkpoint, as a backup of that time has it.
fn back(case: &Case) -> u64 {
    cut(case, SEALED[0]);
    seal_anew(&case.root);
    SEALED[0]
}

fn forked(_: &Bench, case: &mut Case) -> Expect {
    let size = back(case);
    let Case { root, seeded, .. } = case;
    // On a thread of its own: the test's runtime would wait for itself.
    let gone_on = std::thread::scope(|scope| {
        let write = async {
            let mut writing = Writing::resume(root, seeded);
            writing.append(SEALED[3] + 40 - size, seeded).await;
        };
        scope.spawn(|| futures::executor::block_on(write)).join()
    });
    gone_on.expect("it goes on");
    seal(&case.root);
    Expect::From(size)
}

fn put_back(_: &Bench, case: &mut Case) -> Expect {
    Expect::At(back(case))
}

/// Another root over a true signature line.
fn with_other_root(bytes: &[u8]) -> Vec<u8> {
    let note = Note::parse(bytes).expect("a note");
    let mut checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    checkpoint.root = RootHash([3; 32]);
    Note::new(checkpoint.to_string(), note.signatures().to_vec()).expect("a note").to_string().into_bytes()
}

fn forged(bench: &Bench, case: &mut Case) -> Expect {
    case.outside.checkpoints.push(with_other_root(&bench.held[1]));
    Expect::Around
}

fn signed_by(text: &str, key: &NoteKey) -> Vec<u8> {
    Note::new(text.to_owned(), vec![key.sign(text, 0)]).expect("a note").to_string().into_bytes()
}

fn signed_by_other(bench: &Bench, case: &mut Case) -> Expect {
    let note = Note::parse(&bench.held[1]).expect("a note");
    case.outside.checkpoints.push(signed_by(note.text(), &other_key(bench)));
    Expect::Around
}

fn of_other_log(_: &Bench, case: &mut Case) -> Expect {
    let name = "medimg/test/00112233445566778899aabbccddeeff";
    let key = NoteKey::from_seed(name, KeyKind::Ed25519, &[1; 32]).expect("a key");
    let text = format!("{name}\n12\n{}\n", RootHash([1; 32]).base64());
    case.outside.checkpoints.push(signed_by(&text, &key));
    Expect::Around
}

fn older_shown(_: &Bench, _: &mut Case) -> Expect {
    Expect::Unknowable
}

fn published(case: &Case) -> std::path::PathBuf {
    case.root.join("log").join("0").join("checkpoint")
}

fn published_forged(bench: &Bench, case: &mut Case) -> Expect {
    fs::write(published(case), with_other_root(&bench.held[3])).expect("written");
    Expect::Around
}

fn older_published(bench: &Bench, case: &mut Case) -> Expect {
    fs::write(published(case), &bench.held[1]).expect("written");
    Expect::Around
}

fn checkpoint_removed(_: &Bench, case: &mut Case) -> Expect {
    fs::remove_file(published(case)).expect("removed");
    Expect::Around
}

fn kept_changed(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("UPDATE checkpoints SET note = replace(note, '{0}', '{0}0') WHERE size = {0}", SEALED[1]));
    Expect::Around
}

fn kept_removed(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("DELETE FROM checkpoints WHERE size = {}", SEALED[3]));
    Expect::Around
}

fn key_replaced(bench: &Bench, case: &mut Case) -> Expect {
    fs::remove_file(case.root.join("keys").join("signing")).expect("removed");
    fs::remove_file(case.root.join("log").join("vkeys")).expect("removed");
    altered_and_sealed(bench, case);
    assert!(super::audit(&case.root).expect("it takes place").is_sound(), "by the store's own key nothing is wrong");
    Expect::Around
}

fn too_few_witnesses(_: &Bench, case: &mut Case) -> Expect {
    let witness = NoteKey::from_seed("witness.example", KeyKind::Cosignature, &[4; 32]).expect("a key");
    case.outside.witnesses = vec![VerifierKey::clone(witness.verifier())];
    case.outside.quorum = 1;
    Expect::Around
}

fn head_changed(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, "UPDATE head SET root = randomblob(32)");
    Expect::Around
}

fn seal_changed(_: &Bench, case: &mut Case) -> Expect {
    sql(&case.root, &format!("UPDATE seal SET size = size - {}", 1 + case.seeded.below(100)));
    Expect::Around
}

fn tile(case: &Case, path: &str) -> std::path::PathBuf {
    case.root.join("log").join("0").join("tile").join(path)
}

fn tiles_swapped(_: &Bench, case: &mut Case) -> Expect {
    let (one, other) = (tile(case, "0/000"), tile(case, "0/001"));
    let (first, second) = (fs::read(&one).expect("read"), fs::read(&other).expect("read"));
    fs::write(one, second).expect("written");
    fs::write(other, first).expect("written");
    Expect::At(0)
}

fn flipped(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

fn partial_altered(_: &Bench, case: &mut Case) -> Expect {
    let leaf = case.seeded.below(SEALED[3] - 512);
    flipped(&tile(case, &format!("0/002.p/{}", SEALED[3] - 512)), 32 * leaf as usize + 5);
    Expect::At(512 + leaf)
}

fn upper_altered(_: &Bench, case: &mut Case) -> Expect {
    flipped(&tile(case, "1/000.p/2"), 40);
    Expect::From(256)
}

fn bundle_altered(_: &Bench, case: &mut Case) -> Expect {
    let rows = rows(&case.root);
    let at = case.seeded.below(256);
    let before: usize = rows.iter().take(at as usize).map(|row| row.header.render().len() + 2).sum();
    flipped(&tile(case, "entries/000"), before + 2 + case.seeded.below(200) as usize);
    Expect::At(at)
}

fn tile_removed(_: &Bench, case: &mut Case) -> Expect {
    fs::remove_file(tile(case, "0/001")).expect("removed");
    Expect::Around
}

fn bundle_removed(_: &Bench, case: &mut Case) -> Expect {
    fs::remove_file(tile(case, "entries/001")).expect("removed");
    Expect::Around
}

fn tile_laid(bench: &Bench, case: &mut Case) -> Expect {
    copy(&bench.root.join("log").join("0").join("tile").join("1"), &tile(case, "0/x001"));
    Expect::Around
}
