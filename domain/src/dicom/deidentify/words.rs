//! Words that name nobody: what is left out of the search for the object's own identifiers, and what a CS value may say.
//!
//! Each list is sorted by bytes for binary search.

/// A sorted list of words with what tells at once, of most words that are not in it, that they are not.
pub(super) struct Words {
    list: &'static [&'static str],
    /// For each length (the last: that and more) the first letters, bit by bit.
    begins: [u32; 16],
}

impl Words {
    const fn new(list: &'static [&'static str]) -> Self {
        let (mut begins, mut at) = ([0; 16], 0);
        while at < list.len() {
            let (length, bit) = Self::place(list[at].as_bytes());
            begins[length] |= bit;
            at += 1;
        }
        Self { list, begins }
    }

    const fn place(word: &[u8]) -> (usize, u32) {
        let length = if word.len() < 15 { word.len() } else { 15 };
        (length, if word.is_empty() { 0 } else { 1 << (word[0] & 31) })
    }

    #[inline]
    pub(super) fn contains(&self, word: &[u8]) -> bool {
        let (length, bit) = Self::place(word);
        self.begins[length] & bit != 0 && self.list.binary_search_by(|listed| listed.as_bytes().cmp(word)).is_ok()
    }

    #[cfg(test)]
    pub(super) fn is_sorted(&self) -> bool {
        self.list.is_sorted() && self.list.iter().all(|word| self.contains(word.as_bytes()))
    }
}

/// Parts of person names that are titles, particles or the words that stand in place of a name.
#[rustfmt::skip]
pub(super) const NAME_STOP_WORDS: &Words = &Words::new(&[
    "al", "anon", "anonym", "anonymised", "anonymized", "anonymous", "bin", "da", "de", "deidentified", "del",
    "della", "den", "der", "des", "di", "dipl", "doctor", "dos", "du", "dummy", "el", "frau", "herr", "ibn", "id",
    "jr", "junior", "la", "le", "los", "madame", "md", "medi", "miss", "mme", "monsieur", "mr", "mrs", "ms", "name",
    "nee", "no_name", "noname", "none", "null", "née", "patient", "phantom", "phd", "prof", "professor", "removed",
    "sr", "test", "tester", "testpatient", "unbekannt", "undefined", "unknown", "unnamed", "unspecified", "van",
    "von",
]);

/// Words of institutions, departments, stations and makers that many houses share.
#[rustfmt::skip]
pub(super) const PLACE_STOP_WORDS: &Words = &Words::new(&[
    "academic", "accuray", "achieva", "acuson", "adac", "agfa", "aloka", "ambulatory", "and", "anonymized",
    "anonymous", "aperio", "aquilion", "archive", "avanto", "avenue", "biograph", "boulevard", "bracco", "brain",
    "brainlab", "breast", "brightspeed", "brilliance", "building", "campus", "cancer", "canon", "cardiac",
    "cardiology", "care", "carestream", "center", "centre", "centro", "chest", "children", "childrens", "city",
    "clinic", "clinica", "clinical", "clinics", "clinique", "college", "community", "company", "console", "consult",
    "corp", "corporation", "cottage", "county", "court", "default", "department", "dept", "diagnostic", "diagnostics",
    "dicom", "digital", "discovery", "district", "doctor", "drive", "east", "echo", "electric", "elekta", "elscint",
    "emergency", "endoscopy", "engineering", "esaote", "faculty", "first", "fischer", "floor", "foundation", "fuji",
    "fujifilm", "gateway", "ge", "gemini", "gems", "general", "generic", "germany", "gmbh", "group", "hamamatsu",
    "head", "health", "healthcare", "heart", "heidelberg", "hewlett", "hitachi", "hologic", "home", "hopital",
    "hospital", "hospitals", "host", "icon", "image", "imagerie", "images", "imaging", "imatron", "inc", "info",
    "ingenia", "institut", "institute", "institution", "instrumentarium", "intensive", "intera", "internal",
    "international", "kliniek", "klinik", "klinikum", "kodak", "konica", "krankenhaus", "kretz", "laboratory", "lane",
    "leica", "lightspeed", "limited", "llc", "lorad", "ltd", "magnetom", "main", "marconi", "master", "medecine",
    "medical", "medicine", "medison", "medizin", "medrad", "memorial", "mimics", "mindray", "minolta", "mobile",
    "modality", "mosaic", "national", "nemoto", "neuro", "neurology", "neusoft", "nidek", "none", "nonin", "north",
    "northern", "nuclear", "nucletron", "null", "odelca", "office", "offis", "oldelft", "olympus", "oncology",
    "optima", "osirix", "ospedale", "packard", "pacs", "paediatrics", "pathology", "pediatrics", "pentax", "philips",
    "phillips", "picker", "place", "planmeca", "plaza", "poli", "portable", "practice", "praxis", "prisma", "private",
    "public", "quality", "radiologia", "radiologic", "radiological", "radiologie", "radiology", "radiotherapy",
    "raysearch", "regional", "removed", "research", "revolution", "rise", "road", "roche", "room", "royal", "saint",
    "samsung", "samsungmedison", "sankt", "scanner", "school", "science", "sciences", "section", "server", "service",
    "services", "shenyang", "shimadzu", "siemens", "signa", "sirona", "skyra", "somatom", "sono", "sonosite", "sopha",
    "south", "southern", "spine", "square", "standard", "state", "station", "store", "storescp", "storescu",
    "strasse", "street", "studio", "suite", "superc", "surgery", "swissray", "symphony", "system", "systems",
    "technicare", "telemedicine", "terarecon", "test", "theatre", "therapy", "topcon", "toshiba", "trauma", "trex",
    "trionix", "trophy", "ultrasound", "unit", "united", "units", "universitaet", "university", "unknown", "vantage",
    "varian", "vascular", "ventana", "veterinary", "vidar", "viewer", "villa", "ward", "west", "western",
    "workstation", "xray", "zeiss",
]);

/// Words of two to four letters that the technique of imaging uses; a name of such a word is not looked for in text.
#[rustfmt::skip]
pub(super) const SHORT_WORDS: &Words = &Words::new(&[
    "abd", "ac", "ad", "adc", "ai", "al", "an", "and", "ap", "arm", "as", "asl", "at", "aw", "ax", "bi", "bp", "by",
    "ce", "ch", "cm", "cor", "cr", "cs", "ct", "cta", "cv", "cva", "cxr", "de", "dr", "ds", "dt", "du", "dwi", "dx",
    "ec", "ecg", "ed", "ee", "eeg", "ef", "en", "ep", "es", "et", "eu", "ff", "fl", "flr", "for", "fs", "fse", "ge",
    "gi", "gr", "gre", "gy", "hd", "head", "hf", "hi", "hip", "hr", "hz", "ii", "iii", "im", "in", "ir", "is", "it",
    "iv", "kv", "la", "lao", "lat", "left", "leg", "lk", "ll", "lm", "ln", "lo", "low", "lr", "lt", "lv", "mg", "mid",
    "mip", "ml", "mm", "mpr", "mr", "mra", "mri", "ms", "mv", "na", "neck", "nm", "no", "non", "np", "nr", "oct",
    "of", "ok", "on", "op", "or", "ot", "pa", "pd", "pe", "per", "pet", "pl", "pos", "pr", "px", "qa", "qc", "rad",
    "rao", "raw", "rf", "rg", "rgb", "rl", "ro", "roi", "rs", "rt", "rv", "sag", "sc", "se", "seg", "si", "sm", "sp",
    "sr", "ss", "std", "stp", "sw", "swi", "t1", "t2", "te", "the", "ti", "tof", "tr", "tra", "ts", "tx", "ul", "un",
    "up", "us", "vl", "vr", "vs", "wt", "xa", "xc", "xr", "yes", "za",
]);

/// Values of CS attributes that are terms of the standard, not names, even where a name is spelled alike.
#[rustfmt::skip]
pub(super) const DEFINED_TERMS: &Words = &Words::new(&[
    "2D", "3D", "3D_TEMPORAL", "ABDOMEN", "ABDOMENPELVIS", "ABSOLUTE", "ADC", "ADD", "ADMIN", "ANGIO", "ANGIOGRAPHY",
    "ANKLE", "AORTA", "AP", "ARM", "ASL", "ATTENUATION", "ATTN", "AUTO", "AUTOMATIC", "AVERAGE", "AVOIDANCE", "AXIAL",
    "AXIAL_HELICAL", "B", "B0", "B1", "BEAM", "BI", "BILATERAL", "BINARY", "BLADDER", "BODY", "BOLUS", "BOTH", "BQML",
    "BRAIN", "BREAST", "CARDIAC", "CARDIAC_CASCORE", "CARDIAC_CTA", "CARDIAC_GATED", "CAROTID", "CARTESIAN",
    "CASCORE", "CAVITY", "CBF", "CBV", "CGY", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CIRCLE", "CIRCULAR",
    "CLAVICLE", "CLN", "CLOSED_PLANAR", "CNTS", "COARSE", "COCCYX", "CODE", "COLON", "COLOR", "COLOUR", "COMPLETE",
    "COMPLEX", "COMPOSITE", "COMPRESSED", "CONSTANT_ANGLE", "CONTAINER", "CONTAINS", "CONTINUOUS", "CONTRAST_AGENT",
    "CONTROL_POINT", "CORONAL", "COUNTS", "CR", "CR_FILM", "CSPINE", "CT", "CTA", "CTV", "CURVED_MPR", "DATE", "DECY",
    "DENSITY", "DERIVED", "DETECTOR", "DF", "DI", "DIFFUSION", "DIGITAL", "DIRECT", "DISP", "DISPLAY", "DISTORTED",
    "DIXON", "DOC", "DRG", "DSS", "DTI", "DTIM", "DV", "DWI", "DX", "DYNAMIC", "EAR", "ECG", "EFFECTIVE", "ELBOW",
    "ELECTRON", "ELLIPSE", "EMISSION", "ENERGY_PROP_WT", "EP", "ERECT", "ERROR", "ES", "ESOPHAGUS", "EXAM", "EXP",
    "EXTERNAL", "EXTREMITY", "EYE", "F", "FA", "FAT", "FEMUR", "FFDL", "FFDR", "FFP", "FFS", "FIELD_MAP", "FILM",
    "FILTERED", "FINAL", "FINE", "FINGER", "FIRST_PASS", "FIXED_BED", "FLAIR", "FLEXIBLE", "FLOW_ENCODED",
    "FLUID_ATTENUATED", "FOOT", "FOOT_TO_HEAD", "FRACTION", "FRACTIONAL", "FRAME", "FREE", "FUSED", "GATED",
    "GATED_TOMO", "GENERAL", "GM", "GR", "GRADIENT", "GRADIENT_ECHO", "GRAYSCALE", "GREYSCALE", "GTV", "GY", "HAND",
    "HEAD", "HEADNECK", "HEAD_NECK", "HEAD_TO_FOOT", "HEART", "HELICAL", "HFDL", "HFDR", "HFP", "HFS", "HIGH", "HIP",
    "HU", "HUMERUS", "IDENTITY", "IMAGE", "IMAGINARY", "INCORPORATED", "INFERRED_FROM", "INTERPOLATED", "IN_PHASE",
    "IO", "IR", "ISO_10918_1", "ISO_13818_2", "ISO_14495_1", "ISO_14496_10", "ISO_15444_1", "IVUS", "JAW", "KIDNEY",
    "KNEE", "KO", "L", "LABEL", "LABELMAP", "LEFT", "LEFT_TO_RIGHT", "LEG", "LIN", "LINEAR", "LIVER", "LL", "LLD",
    "LOCALISER", "LOCALIZER", "LOG", "LOW", "LSPINE", "LUNG", "M", "MAGNITUDE", "MAMMO", "MANDIBLE", "MANUAL",
    "MARKER", "MAXILLA", "MAX_IP", "MEAN", "MEDIAN", "MEDIUM", "METABOLITE", "METABOLITE_MAP", "MG", "MINIP",
    "MIN_IP", "MIP", "MIXED", "MODIFIED", "MONOCHROME1", "MONOCHROME2", "MONTE_CARLO", "MOTN", "MOVING_BED", "MP",
    "MPR", "MR", "MTC", "MTT", "NATIVE", "NECK", "NECKCHEST", "NEUTRON", "NM", "NO", "NONE", "NORM", "NORMAL", "NOSE",
    "NOT_SAMPLED", "NUM", "O", "OBLIQUE", "OCCUPANCY", "OCT", "OD", "OP", "OPEN_PLANAR", "ORBIT", "ORBITS", "ORGAN",
    "ORIGINAL", "OSP", "OT", "OTHER", "OUT_OF_PHASE", "OVARY", "OVERVIEW", "PA", "PALETTE_COLOR", "PANCREAS",
    "PARALLEL", "PARTIAL", "PATIENT", "PBF", "PBV", "PELVIS", "PELVIS_LOWEXTREMT", "PERFUSION", "PHANTOM", "PHASE",
    "PHOTON", "PHYSICAL", "PIXEL", "PIXEL_BASED", "PLAN", "PLATE", "PMOT", "PNAME", "POINT", "POLYLINE", "PR",
    "PRELIM", "PRIMARY", "PROBABILITY", "PRONE", "PROPCNTS", "PROSTATE", "PROTON", "PROTON_DENSITY", "PT", "PTV",
    "PX", "R", "RADIAL", "RAN", "RCBF", "RCBV", "RCCBV", "REAL", "RECON", "RECON_TOMO", "RECTILINEAR", "RECUMBENT",
    "REG", "REGION", "RELATIVE", "REMOVED", "RESAMPLE", "RESAMPLED", "RESP_GATED", "REST", "RF", "RGB", "RIB", "RIBS",
    "RIGHT", "RIGHT_TO_LEFT", "RL", "RLD", "RM", "ROTATING_BED", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD",
    "RTSTRUCT", "SACRUM", "SAGITTAL", "SAMPLED", "SAVE", "SC", "SCAT", "SCINTILLATOR", "SCOORD", "SCOUT", "SCREEN",
    "SD", "SE", "SECONDARY", "SEG", "SEMIAUTOMATIC", "SEPARATE", "SEQUENCE", "SHOULDER", "SI", "SIGMOID", "SITTING",
    "SK", "SKULL", "SM", "SP", "SPIN", "SPINE", "SPIN_ECHO", "SPIRAL", "SPLEEN", "SR", "SS", "STANDARD", "START",
    "STATIC", "STATIONARY", "STERNUM", "STIR", "STOMACH", "STORAGE", "STRESS", "SUBTRACTION", "SUM", "SUPINE",
    "SURFACE_RENDER", "T1", "T2", "T2_STAR", "TABLE", "TAGGING", "TCOORD", "TEMPERATURE", "TEXT", "THUMB",
    "THUMBNAIL", "THYROID", "TIBIA", "TILED_FULL", "TILED_SPARSE", "TIME", "TMAX", "TMJ", "TOE", "TOMO", "TONGUE",
    "TRACE", "TRACEW", "TRANSMISSION", "TRANSVERSE", "TREATMENT", "TRSS", "TSPINE", "TTP", "U", "UIDREF", "UNKNOWN",
    "UNMODIFIED", "UNPAIRED", "UNSPECIFIED", "UNVERIFIED", "UPRIGHT", "US", "UTERUS", "VELOCITY", "VERIFIED",
    "VIRTUAL", "VOI_BASED", "VOLUME", "VOLUME_RENDER", "WATER", "WAVEFORM", "WHOLE", "WHOLEBODY", "WHOLE_BODY",
    "WRIST", "WSD", "XA", "XC", "YBR_FULL", "YBR_FULL_422", "YES",
]);
