//! What the rules say about one attribute: its row of Table E.1-1, and what the profile does with it in each IOD.
//!
//! The answer is not a second telling of the rules: for each IOD a small object that holds the attribute is made and
//! de-identified, and its receipt is read.

mod probe;
mod safe_harbor;

use std::collections::{BTreeMap, BTreeSet};

use domain::dicom::facts::{Facts, Row};
use domain::dicom::iod::{Iod, Listed, Node, Type};
use domain::dicom::{Profile, ProfileError, Tag, VR};

use crate::receipt::{Action, Rule, codes_of_row};

pub use safe_harbor::SafeHarbor;

/// Which SOP class is of which IOD: the very file that `domain` reads.
const IODS: &str = include_str!("../../domain/facts/iods.txt");
/// A class that no table has.
const UNKNOWN_CLASS: &str = "1.3.6.1.4.1.5962.99.1";

/// What the row of Table E.1-1 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSaid {
    /// Its number, as receipts name it.
    pub number: u16,
    /// The Basic Profile's code: `X/Z/D`.
    pub basic: &'static str,
    /// The option columns that have a code: name and `K` or `C`.
    pub options: Vec<(&'static str, char)>,
    /// The editions of PS3.15 that have the row: `2024e+2026c`.
    pub editions: String,
}

/// What the profile does, and in which IODs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of it; `None` if a harmless value stays.
    pub action: Option<Action>,
    /// The rule that decides; none if it stays.
    pub rule: Option<Rule>,
    /// Its Type there: `1`, `1C`, `2`, `2C`, `3`; `None` if the IOD does not list it.
    pub ty: Option<&'static str>,
    /// Names of the IODs, sorted.
    pub iods: Vec<String>,
}

/// What the rules say about one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its row.
    pub row: Option<RowSaid>,
    /// The identifier of 45 CFR 164.514(b)(2)(i) that it is or may hold, where that is known from what it is.
    pub safe_harbor: Option<SafeHarbor>,
    /// Name of the profile.
    pub profile: &'static str,
    /// The edition of its rows.
    pub edition: &'static str,
    /// What the profile does with it: the most frequent first.
    pub outcomes: Vec<Outcome>,
    /// What it does in an object whose SOP class no table has.
    pub unknown_class: Option<Outcome>,
}

/// Explains the attribute at `path`, whose VR is `vr`, at the end of a chain of sequences.
///
/// # Errors
/// The tables do not load whole.
pub fn explain(path: &[Tag], vr: VR) -> Result<Explained, ProfileError> {
    let facts = Facts::load()?;
    let profile = Profile::basic()?.with_accept_pixels(true);
    let tag = path.last().copied().unwrap_or(Tag(0, 0));
    let row = facts.rows.find(tag).filter(|_| tag.element() != 0);
    let mut groups: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for uid in IODS.lines().filter_map(|line| line.strip_prefix("S ")?.split(' ').next()) {
        let Some(iod) = Iod::of_sop_class(uid) else { continue };
        let (action, rule) = probe::ask(path, vr, uid, &profile);
        let ty = listed(iod, path).map(|listed| type_told(listed.ty));
        groups.entry((action, rule, ty)).or_default().insert(iod.name.to_owned());
    }
    let mut outcomes: Vec<Outcome> = groups
        .into_iter()
        .map(|((action, rule, ty), iods)| Outcome { action, rule, ty, iods: iods.into_iter().collect() })
        .collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.iods.len()));
    let (action, rule) = probe::ask(path, vr, UNKNOWN_CLASS, &profile);
    Ok(Explained {
        row: row.map(said),
        safe_harbor: SafeHarbor::of(tag, vr, row),
        profile: profile.name(),
        edition: profile.edition(),
        outcomes,
        unknown_class: Some(Outcome { action, rule, ty: None, iods: Vec::new() }),
    })
}

/// Returns under which condition a value of an attribute without a row stays.
pub const fn value_rule(vr: VR) -> &'static str {
    match vr {
        VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC => {
            "only text that holds none of the object's own identifiers and no pattern of a date, a number or a name; else \
             dummy, empty or removed by its Type"
        }
        VR::CS => "defined terms, and words that obey CS and are none of the object's own identifiers",
        VR::DS | VR::IS => "numbers; one that is an identifier of the object goes",
        VR::AS => "ages up to 89 years",
        VR::UI => "UIDs of a class or a coding scheme; every other is mapped",
        VR::SQ => "each item by the rules of what it holds",
        VR::DA | VR::DT | VR::TM | VR::AE | VR::PN | VR::UR => "never without a row",
        _ => "numbers and bytes; a short value in which an identifier of the object is found goes",
    }
}

type Key = (Option<Action>, Option<Rule>, Option<&'static str>);

fn said(row: &Row) -> RowSaid {
    let letters: Vec<char> = row.options.chars().collect();
    let options = letters.chunks_exact(2).filter_map(|pair| Some((option_told(pair[0])?, pair[1]))).collect();
    RowSaid { number: row.number, basic: codes_of_row(row), options, editions: row.editions.to_string() }
}

/// Returns the name of an option column of Table E.1-1 by the letter of `domain/facts/generate.py`.
const fn option_told(letter: char) -> Option<&'static str> {
    Some(match letter {
        's' => "Retain Safe Private",
        'u' => "Retain UIDs",
        'd' => "Retain Device Identity",
        'i' => "Retain Institution Identity",
        'p' => "Retain Patient Characteristics",
        'f' => "Retain Longitudinal Full Dates",
        'm' => "Retain Longitudinal Modified Dates",
        'e' => "Clean Descriptors",
        't' => "Clean Structured Content",
        'g' => "Clean Graphics",
        _ => return None,
    })
}

fn listed(iod: &'static Iod, path: &[Tag]) -> Option<Listed> {
    let (last, around) = path.split_last()?;
    let mut node = Node::Root(iod);
    for tag in around {
        node = node.find(*tag)?.items.map_or(Node::Unknown, Node::Items);
    }
    node.find(*last)
}

const fn type_told(ty: Type) -> &'static str {
    match ty {
        Type::One => "1",
        Type::OneC => "1C",
        Type::Two => "2",
        Type::TwoC => "2C",
        Type::Three => "3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &[Tag], vr: VR) -> Explained {
        explain(path, vr).expect("the tables are whole")
    }

    #[test]
    fn the_name_of_a_patient_is_mapped_by_its_row_in_every_iod() {
        let said = of(&[Tag(0x0010, 0x0010)], VR::PN);
        let row = said.row.expect("a row");
        assert_eq!((row.number, row.basic), (72, "Z"));
        assert!(said.outcomes.iter().all(|o| o.action == Some(Action::Mapped) && o.rule == Some(Rule::Row(72))));
        assert_eq!(said.safe_harbor, Some(SafeHarbor::Names));
        assert!(said.outcomes[0].iods.len() > 100);
    }

    #[test]
    fn the_type_in_the_iod_decides_where_a_row_has_several_codes() {
        let said = of(&[Tag(0x0008, 0x0021)], VR::DA);
        let of_type = |ty| said.outcomes.iter().find(|o| o.ty == ty).and_then(|o| o.action);
        assert_eq!(said.row.as_ref().map(|row| row.basic), Some("X/D"));
        assert_eq!(of_type(Some("3")), Some(Action::Removed));
        assert_eq!(of_type(Some("1")), Some(Action::Dummy));
    }

    #[test]
    fn an_attribute_without_a_row_stays_where_its_iod_lists_it_and_goes_elsewhere() {
        let said = of(&[Tag(0x0018, 0x0050)], VR::DS);
        assert_eq!(said.row, None);
        let ct = said.outcomes.iter().find(|o| o.iods.iter().any(|name| name == "ct-image")).expect("CT");
        assert_eq!((ct.action, ct.ty), (None, Some("2")));
        let other = said.outcomes.iter().find(|o| o.ty.is_none()).expect("others");
        assert_eq!((other.action, other.rule.clone()), (Some(Action::Removed), Some(Rule::General("iod".into()))));
    }

    #[test]
    fn private_attributes_and_group_lengths_go() {
        for (tag, vr, rule) in [(Tag(0x0029, 0x1010), VR::UN, None), (Tag(0x0008, 0x0000), VR::UL, Some("length"))] {
            let said = of(&[tag], vr);
            assert!(said.outcomes.iter().all(|o| o.action == Some(Action::Removed)), "{tag}: {:?}", said.outcomes);
            if let Some(rule) = rule {
                assert_eq!(said.outcomes[0].rule, Some(Rule::General(rule.into())));
                assert_eq!(said.row, None);
            }
        }
    }

    #[test]
    fn a_place_inside_a_sequence_is_explained_at_that_place() {
        let said = of(&[Tag(0x0008, 0x2112), Tag(0x0008, 0x1155)], VR::UI);
        assert!(said.outcomes.iter().any(|o| o.action == Some(Action::Mapped)), "{:?}", said.outcomes);
    }
}
