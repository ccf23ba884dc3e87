//! Which of the eighteen identifiers of the Safe Harbor method an attribute is, where its meaning alone says so.

use domain::dicom::facts::{Action, IdentifierClass, Row};
use domain::dicom::{Tag, VR};

/// An identifier of 45 CFR 164.514(b)(2)(i), by its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafeHarbor {
    /// (A) Names.
    Names,
    /// (B) Geographic subdivisions smaller than a state.
    Places,
    /// (C) Elements of dates except the year, and ages over 89.
    Dates,
    /// (D) to (F) Telephone and fax numbers, electronic mail addresses.
    Telecom,
    /// (H) Medical record numbers.
    RecordNumbers,
    /// (I) Health plan beneficiary numbers.
    HealthPlan,
    /// (M) Device identifiers and serial numbers.
    Devices,
    /// (N) and (O) URLs and IP addresses.
    Urls,
    /// (R) Any other unique identifying number, characteristic or code.
    OtherIds,
}

impl SafeHarbor {
    /// Returns the letter and the name, as the regulation orders them.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Names => "(A) names",
            Self::Places => "(B) geographic subdivisions smaller than a state",
            Self::Dates => "(C) elements of dates, ages over 89",
            Self::Telecom => "(D)-(F) telephone, fax, electronic mail",
            Self::RecordNumbers => "(H) medical record numbers",
            Self::HealthPlan => "(I) health plan beneficiary numbers",
            Self::Devices => "(M) device identifiers and serial numbers",
            Self::Urls => "(N)-(O) URLs and IP addresses",
            Self::OtherIds => "(R) any other unique identifying number, characteristic or code",
        }
    }

    /// Returns the identifier that an attribute is; `None` where that depends on its value, or is not known.
    pub fn of(tag: Tag, vr: VR, row: Option<&Row>) -> Option<Self> {
        match (tag.group(), tag.element()) {
            (0x0010, 0x1040 | 0x2150 | 0x2152) => return Some(Self::Places),
            (0x0010, 0x1010 | 0x0030 | 0x0032) => return Some(Self::Dates),
            (0x0010, 0x2154 | 0x2155) | (0x0008, 0x0094) | (0x0040, 0x1103 | 0x1104 | 0x2010) => {
                return Some(Self::Telecom);
            }
            (0x0010, 0x0020 | 0x1000 | 0x1002 | 0x1090) => return Some(Self::RecordNumbers),
            (0x0010, 0x1050) => return Some(Self::HealthPlan),
            (group, _) if group % 2 == 1 => return None,
            _ => {}
        }
        let row = row?;
        let has_option = |letter| row.options.chars().step_by(2).any(|option| option == letter);
        match vr {
            VR::PN => Some(Self::Names),
            VR::UR => Some(Self::Urls),
            VR::DA | VR::DT | VR::TM => Some(Self::Dates),
            _ if has_option('d') => Some(Self::Devices),
            _ if row.class == IdentifierClass::Place => Some(Self::Places),
            _ if row.class == IdentifierClass::Id || row.action == Action::Uid => Some(Self::OtherIds),
            _ => None,
        }
    }
}
