//! The closed list of reasons for which an object is quarantined, each with its condition (DESIGN §4).

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal),+ $(,)?) => {
        /// Why an object was quarantined. The list is closed: a new reason is a new version of the events that carry it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $variant),+ }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// Returns the stable code, as events, reports and `--json` spell it.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code),+ }
            }

            /// Returns the condition under which the reason is given, one sentence for people.
            pub const fn condition(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

reasons! {
    /// The bytes are not a DICOM data set: no file meta, and what is read from offset 0 is no data set either.
    NotDicom = "not_dicom",
    /// The bytes end inside an element, an item or a sequence.
    Truncated = "truncated",
    /// The file meta information is damaged or contradicts the data set or the pixel data that follow.
    BadMeta = "bad_meta",
    /// A length contradicts the bytes around it: past its parent, odd where it must be even, or no delimiter where one must stand.
    BadLength = "bad_length",
    /// Sequences nest deeper than 64 levels.
    Depth = "depth",
    /// A value representation is not one of PS3.5 Table 6.2-1.
    Vr = "vr",
    /// Text that must be read is in a character set that is undeclared, unknown or not obeyed.
    Charset = "charset",
    /// The object is larger than a configured limit: bytes, elements, items or kept values.
    Oversize = "oversize",
    /// A deflated data set expands beyond the allowed ratio.
    Bomb = "bomb",
    /// Pixel data are missing, stand twice, cannot be walked frame by frame, or contradict or lack the attributes that size them.
    Pixel = "pixel",
    /// Another object with the same Study, Series and SOP Instance UID and other bytes was received earlier.
    DupConflict = "dup_conflict",
    /// The transfer syntax is unknown, so the structure cannot be read.
    UnsupportedTs = "unsupported_ts",
    /// A SOP Class, SOP Instance, Study or Series UID is missing or ill-formed, or the object is not an instance (DICOMDIR, palette).
    MissingRequired = "missing_required",
    /// The output name that was asked for cannot be used: not declared free of identifiers, or not a valid key.
    PathName = "path_name",
    /// The pixels or the document inside may show identifiers and nobody has judged them yet.
    PixelsNotJudged = "pixels_not_judged",
    /// After de-identification one of the object's own identifiers is still found in what would be delivered.
    ResidualIdentifier = "residual_identifier",
    /// The operator's policy refuses objects of this kind.
    Policy = "policy",
}

impl Reason {
    /// Returns the reason that `code` names.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// Whether the same bytes may be judged otherwise another time: the reason lies in a setting, in the operator's policy
    /// or in another object, not in these bytes alone.
    pub const fn may_be_gone(self) -> bool {
        matches!(self, Self::Depth | Self::Oversize | Self::Bomb | Self::DupConflict | Self::PathName | Self::Policy)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::from_code(&code).ok_or_else(|| serde::de::Error::custom("unknown reason code"))
    }
}

/// The object was refused because of what it is. Carries where and why, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{reason}: {detail}{}", .at.as_deref().map(|at| format!(" at {at}")).unwrap_or_default())]
pub struct Rejection {
    /// The reason class.
    pub reason: Reason,
    /// A constant sentence that says which condition did not hold; chosen by the code, so it can hold no value of the object.
    pub detail: std::borrow::Cow<'static, str>,
    /// Where: a tag path such as `(0040,A730)[0].(0040,A160)`, or a byte offset such as `@1234`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Rejection {
    /// Refuses the object as a whole.
    pub const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail: std::borrow::Cow::Borrowed(detail), at: None }
    }

    /// Adds the byte offset at which the condition failed.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.at = Some(format!("@{offset}"));
        self
    }

    /// Adds the tag path at which the condition failed.
    #[must_use]
    pub fn at_path(mut self, path: String) -> Self {
        self.at = Some(path);
        self
    }
}
