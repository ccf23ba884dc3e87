//! What every implementation of `Views` promises, said of the SQLite one; and what a damaged file of views does.

use domain::Reason;
use ledger::{MemoryLedger, Origin};

use super::testkit::{ask, block_on, hash, ingest, refuse};
use super::*;
use crate::consumer::{Followed, follow};
use crate::ports::views::{Standing, StreamKind};
use crate::views::rebuild::{Compared, rebuild};

fn memory() -> MemoryLedger {
    MemoryLedger::new(Origin::new("medimg", "test", [7; 16]).expect("an origin"))
}

/// Two studies of one patient, one of another; a refused object in the first; a question about the first.
fn plausible() -> MemoryLedger {
    let ledger = memory();
    ingest(&ledger, 1, 11, 51, 1_000);
    ingest(&ledger, 2, 11, 51, 2_000);
    refuse(&ledger, 2, 11, Reason::Pixel, 2_500);
    ingest(&ledger, 3, 12, 51, 3_000);
    refuse(&ledger, 3, 12, Reason::Truncated, 3_500);
    ingest(&ledger, 4, 13, 52, 4_000);
    ask(&ledger, 90, 11, 5_000);
    ledger
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("views.sqlite")
    }

    fn followed(&self, ledger: &MemoryLedger) -> SqliteViews {
        let views = SqliteViews::open(&self.path()).expect("views");
        block_on(follow(ledger, &views, u64::MAX)).expect("followed");
        views
    }
}

fn all() -> Span {
    Span { after: None, below: u64::MAX }
}

/// The first bytes of the streams that a selection holds.
fn streams(views: &dyn Views, selection: &Selection) -> Vec<u8> {
    let found = block_on(views.streams(selection, all(), 100)).expect("found");
    let counted = block_on(views.count(selection, all())).expect("counted");
    assert_eq!(counted.streams, found.len() as u64);
    assert_eq!(counted.entries, found.iter().map(|row| row.entries).sum::<u64>());
    found.iter().map(|row| row.stream.0[0]).collect()
}

/// The leaf indices of the entries that a selection holds.
fn leaves(views: &dyn Views, selection: &Selection) -> Vec<u64> {
    let found = block_on(views.entries(selection, all(), 100)).expect("found");
    let counted = block_on(views.count(selection, all())).expect("counted");
    assert_eq!(counted.entries, found.len() as u64);
    found.iter().map(|row| row.leaf).collect()
}

#[test]
fn streams_are_found_by_study_patient_standing_and_reason_and_by_all_of_them() {
    let (place, ledger) = (Place::new(), plausible());
    let views = place.followed(&ledger);
    let none = Selection::default;
    assert_eq!(streams(&views, &Selection { studies: vec![hash(11)], ..none() }), [1, 2, 90]);
    assert_eq!(streams(&views, &Selection { patients: vec![hash(51)], ..none() }), [1, 2, 3]);
    assert_eq!(streams(&views, &Selection { studies: vec![hash(11), hash(13)], ..none() }), [1, 2, 4, 90]);
    assert_eq!(streams(&views, &Selection { standing: Some(Standing::Quarantined), ..none() }), [2, 3]);
    assert_eq!(streams(&views, &Selection { standing: Some(Standing::Open), ..none() }), [1, 4]);
    assert_eq!(streams(&views, &Selection { why: Some("pixel".into()), ..none() }), [2]);
    let joined = Selection {
        patients: vec![hash(51)],
        standing: Some(Standing::Quarantined),
        why: Some("truncated".into()),
        ..none()
    };
    assert_eq!(streams(&views, &joined), [3]);
    assert_eq!(streams(&views, &Selection { stream: Some(StreamKey([4; 16])), ..none() }), [4]);
    assert_eq!(streams(&views, &Selection { accessions: vec![hash(51)], ..none() }), [0u8; 0], "of another kind");
    let other = IndexHash { version: 2, ..hash(51) };
    assert_eq!(streams(&views, &Selection { patients: vec![other], ..none() }), [0u8; 0], "of another key");
    assert_eq!(block_on(views.studies_of_new(&[hash(111)])).expect("found"), [hash(11)]);
}

#[test]
fn entries_are_found_by_actor_type_and_time_within_the_streams_that_are_chosen() {
    let (place, ledger) = (Place::new(), plausible());
    let views = place.followed(&ledger);
    let none = Selection::default;
    assert_eq!(leaves(&views, &Selection { actors: vec!["system:quarantine".into()], ..none() }), [4, 7]);
    assert_eq!(leaves(&views, &Selection { actors: vec![format!("u:{}", hash(200))], ..none() }), [10]);
    assert_eq!(leaves(&views, &Selection { actors: vec!["system:delivery".into()], ..none() }), [0u64; 0]);
    assert_eq!(leaves(&views, &Selection { types: vec!["imaging.object.received.v1"], ..none() }), [0, 2, 5, 8]);
    assert_eq!(leaves(&views, &Selection { types: vec!["imaging.instance.delivered.v1"], ..none() }), [0u64; 0]);
    assert_eq!(leaves(&views, &Selection { from_ms: Some(3_000), to_ms: Some(4_000), ..none() }), [5, 6, 7]);
    let joined = Selection {
        studies: vec![hash(11)],
        types: vec!["imaging.object.received.v1"],
        from_ms: Some(1_500),
        ..none()
    };
    assert_eq!(leaves(&views, &joined), [2]);
}

#[test]
fn a_page_ends_where_the_next_begins() {
    let (place, ledger) = (Place::new(), plausible());
    let views = place.followed(&ledger);
    let selection = Selection { patients: vec![hash(51)], ..Selection::default() };
    let mut span = all();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = block_on(views.streams(&selection, span, 1)).expect("found");
        span.after = Some(page[0].first_leaf);
        seen.push(page[0].stream.0[0]);
    }
    assert_eq!(seen, [1, 2, 3]);
    assert!(block_on(views.streams(&selection, span, 1)).expect("found").is_empty());
    let below = Span { after: None, below: 3 };
    assert_eq!(block_on(views.streams(&selection, below, 9)).expect("found").len(), 2, "as of size 3");
}

#[test]
fn a_stream_says_how_it_stands_when_and_where() {
    let (place, ledger) = (Place::new(), plausible());
    let views = place.followed(&ledger);
    let row = block_on(views.stream(StreamKey([2; 16]))).expect("found").expect("a row");
    assert_eq!(
        (row.kind, row.standing, row.why.as_deref()),
        (StreamKind::Object, Standing::Quarantined, Some("pixel"))
    );
    assert_eq!((row.entries, row.first_leaf, row.last_leaf), (3, 2, 4));
    assert_eq!((row.first_ms, row.last_ms, row.study), (2_000, 2_500, Some(hash(11))));
    assert_eq!(row.last_types, "imaging.instance.quarantined.v1");
    assert_eq!(block_on(views.leaves(row.stream)).expect("leaves"), [2, 3, 4]);
    let act = block_on(views.stream(StreamKey([90; 16]))).expect("found").expect("a row");
    assert_eq!((act.kind, act.standing), (StreamKind::Act, Standing::Recorded));
}

#[test]
fn views_followed_entry_by_entry_in_two_connections_equal_those_built_at_once() {
    let (place, ledger) = (Place::new(), plausible());
    let size = block_on(ledger::Log::head(&ledger)).expect("head").size;
    for turn in 0..size {
        // Opened anew each time, as after a crash between two pages.
        let views = SqliteViews::open(&place.path()).expect("views");
        let followed = block_on(follow(&ledger, &views, 1)).expect("followed");
        assert_eq!(followed, Followed { next: turn + 1, size });
    }
    let rebuilt = block_on(rebuild(&ledger, &place.path())).expect("rebuilt");
    assert_eq!((rebuilt.size, rebuilt.compared), (size, Compared::Equal));
}

#[test]
fn a_page_that_was_not_committed_left_nothing() {
    let (place, ledger) = (Place::new(), plausible());
    let views = SqliteViews::open(&place.path()).expect("views");
    let page = block_on(ledger::Log::entries(&ledger, 0, 5)).expect("entries");
    {
        let mut connection = views.connection();
        let transaction = connection.transaction().expect("begins");
        assert!(write::page(&transaction, &page).is_ok());
        // Dropped here, as the process would be.
    }
    assert_eq!(block_on(views.cursor()).expect("cursor"), Cursor::default());
    let twice = [Cursor::default(), Cursor::default()].map(|from| block_on(views.take(from, &page)).expect("taken"));
    assert_eq!(twice, [Took::Committed, Took::Moved], "the same page is taken in once");
    block_on(follow(&ledger, &views, u64::MAX)).expect("followed");
    drop(views);
    assert_eq!(block_on(rebuild(&ledger, &place.path())).expect("rebuilt").compared, Compared::Equal);
}

#[test]
fn views_that_were_altered_are_told_and_put_right() {
    let (place, ledger) = (Place::new(), plausible());
    drop(place.followed(&ledger));
    let connection = Connection::open(place.path()).expect("opens");
    connection
        .execute_batch("UPDATE streams SET standing = 0 WHERE first_leaf = 2; DELETE FROM tags WHERE stream = 5")
        .expect("altered");
    drop(connection);
    let rebuilt = block_on(rebuild(&ledger, &place.path())).expect("rebuilt");
    let Compared::Different(tables) = rebuilt.compared else { panic!("{rebuilt:?}") };
    assert_eq!(tables.iter().map(|(table, _)| *table).collect::<Vec<_>>(), ["streams", "tags"]);
    assert_eq!(block_on(rebuild(&ledger, &place.path())).expect("rebuilt").compared, Compared::Equal);
}

#[test]
fn a_file_that_is_no_views_and_views_of_a_longer_log_are_refused_until_they_are_built_anew() {
    let (place, ledger) = (Place::new(), plausible());
    std::fs::write(place.path(), [7; 5_000]).expect("written");
    assert_eq!(SqliteViews::open(&place.path()).expect_err("refused").code(), "views_damaged");
    let rebuilt = block_on(rebuild(&ledger, &place.path())).expect("rebuilt");
    assert_eq!(rebuilt.compared, Compared::NotCompared(Some("views_damaged")));
    let restored = memory();
    ingest(&restored, 1, 11, 51, 1_000);
    let views = SqliteViews::open(&place.path()).expect("views");
    assert_eq!(block_on(follow(&restored, &views, 9)).expect_err("refused").code(), "consumer_ahead");
    drop(views);
    let rebuilt = block_on(rebuild(&restored, &place.path())).expect("rebuilt");
    assert_eq!((rebuilt.size, rebuilt.compared), (2, Compared::NotCompared(Some("consumer_ahead"))));
    let views = SqliteViews::open(&place.path()).expect("views");
    assert_eq!(block_on(follow(&restored, &views, 9)).expect("followed").next, 2);
}

#[test]
fn a_reader_with_the_old_views_open_sees_the_new_ones_after_the_swap() {
    let (place, ledger) = (Place::new(), plausible());
    let reader = place.followed(&ledger);
    reader.connection().execute_batch("DELETE FROM studies").expect("altered");
    block_on(rebuild(&ledger, &place.path())).expect("rebuilt");
    let due = block_on(reader.studies_due(u64::MAX >> 1, None, 9)).expect("found");
    assert_eq!(due.iter().map(|row| row.study).collect::<Vec<_>>(), [hash(12)], "11 and 13 have open streams");
    assert!(!beside_is_left(&place), "the file beside is gone");
}

fn beside_is_left(place: &Place) -> bool {
    std::fs::read_dir(place.0.path())
        .expect("listed")
        .any(|entry| entry.expect("an entry").file_name().to_string_lossy().contains(".new"))
}
