//! Invented people, places and UIDs, drawn from a seed.

use uuid::Uuid;

/// A stream of numbers that a seed decides (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// Returns the stream of `seed` for one purpose; purposes do not disturb each other.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose
            .bytes()
            .fold(seed ^ 0x6d65_6469_6d67, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(mixed)
    }

    /// Returns the next 64 bits.
    pub(super) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`; the slight bias does not matter here.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Returns one of `choices`.
    pub(super) fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[(self.bits() % choices.len() as u64) as usize]
    }

    /// Returns a new UID under 2.25 (PS3.5 B.2).
    pub(super) fn uid(&mut self) -> String {
        let [high, low] = [self.bits().to_be_bytes(), self.bits().to_be_bytes()];
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high);
        bytes[8..].copy_from_slice(&low);
        format!("2.25.{}", Uuid::new_v8(bytes).as_u128())
    }
}

/// An invented patient and the invented visit.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    /// Family and given name, as `Family^Given`.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) birth_date: String,
    pub(super) sex: &'static str,
    pub(super) age: String,
    pub(super) accession_number: String,
    pub(super) study_instance_uid: String,
    /// `YYYYMMDD`.
    pub(super) study_date: String,
    pub(super) referring_physician: String,
    pub(super) performing_physician: String,
    pub(super) operator: String,
    pub(super) institution: &'static str,
    pub(super) address: String,
    pub(super) telephone: String,
}

const FAMILIES: [&str; 8] =
    ["Lindqvist", "Okonkwo", "Ferreira", "Halvorsen", "Castellanos", "Brennigan", "Vasilescu", "Tamahori"];
const WOMEN: [&str; 6] = ["Ingrid", "Adaeze", "Beatriz", "Ragnhild", "Marisol", "Aroha"];
const MEN: [&str; 6] = ["Torvald", "Chidi", "Duarte", "Eskil", "Ignacio", "Wiremu"];
const PLACES: [&str; 4] =
    ["Fjordheim General Hospital", "Saltmarsh University Clinic", "Highmoor Infirmary", "Port Avalon Medical Center"];
const STREETS: [&str; 4] = ["12 Larkspur Lane", "Kelpvegen 81", "407 Quarry Terrace", "3 Old Ferry Road"];

/// Returns the patient of one study; `purpose` tells the patients of one seed apart.
pub(super) fn patient(seed: u64, purpose: &str) -> Patient {
    let mut draw = Draw::new(seed, purpose);
    let female = draw.below(2) == 0;
    let given = draw.one(if female { &WOMEN } else { &MEN });
    let birth_year = 1941 + draw.below(55);
    let study_year = 2023 + draw.below(2);
    Patient {
        name: format!("{}^{given}", draw.one(&FAMILIES)),
        id: format!("MRN-{:07}", 1_000_000 + draw.below(9_000_000)),
        birth_date: format!("{birth_year}{:02}{:02}", 1 + draw.below(12), 1 + draw.below(28)),
        sex: if female { "F" } else { "M" },
        age: format!("{:03}Y", study_year - birth_year - 1),
        accession_number: format!("ACC{:08}", draw.below(100_000_000)),
        study_instance_uid: draw.uid(),
        study_date: format!("{study_year}{:02}{:02}", 1 + draw.below(12), 1 + draw.below(28)),
        referring_physician: format!("{}^{}^^Dr", draw.one(&["Quillfeather", "Ashgrove"]), draw.one(&WOMEN)),
        performing_physician: format!("{}^{}^^Dr", draw.one(&["Marchbanks", "Oyelaran"]), draw.one(&MEN)),
        operator: format!("{}^{}", draw.one(&["Pettibone", "Strandberg"]), draw.one(&WOMEN)),
        institution: draw.one(&PLACES),
        address: format!("{}, Fjordheim", draw.one(&STREETS)),
        telephone: format!("+47 555 {:05}", draw.below(100_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_well_formed_and_differ() {
        let mut draw = Draw::new(1, "uids");
        let (first, second) = (draw.uid(), draw.uid());
        assert_ne!(first, second);
        for uid in [first, second] {
            assert!(uid.len() <= 64 && uid.starts_with("2.25.") && !uid.starts_with("2.25.0"), "{uid}");
        }
    }
}
