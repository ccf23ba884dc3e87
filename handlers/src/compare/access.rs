//! That values of a raw object were shown is recorded before they are (HIPAA 164.312(b)).

use domain::events::{AccessPurpose, ObjectAccessed, Tag, TagKind};

use super::record::Record;
use crate::acting::{self, Person};
use crate::error::Result;
use crate::store::Store;
use crate::surroundings::Surroundings;

/// Records that `person` is shown values of the object of `record`, or of one that the ledger does not know.
///
/// # Errors
/// What the ledger says; what cannot be recorded is not shown.
pub async fn record_access(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    record: Option<&Record>,
) -> Result<()> {
    let about = record.and_then(|record| record.study);
    let mut tags = vec![person.tag()];
    tags.extend(about.map(|hash| Tag { kind: TagKind::Study, hash }));
    let said = ObjectAccessed { purpose: AccessPurpose::Diff, object: record.map(|record| record.stream), tags };
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, about, said.into()).await
}
