//! DICOM objects made by code (PS3.5, explicit VR little endian), as small as the rules allow and full of invented identifiers.

/// An element of a data set under construction, or a whole data set.
pub type Bytes = Vec<u8>;

const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const ULTRASOUND_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.6.1";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const UID_ROOT: &str = "1.2.826.0.1.3680043.10.1998";
/// Rows and columns of the images.
pub const SIDE: u16 = 32;

/// What makes one object another than the next.
#[derive(Clone, Debug)]
pub struct Object {
    /// SOP class.
    pub sop_class_uid: String,
    /// Modality.
    pub modality: &'static str,
    /// Number of the study.
    pub study: u32,
    /// Number of the instance in all tests' objects; two objects with the same number are the same instance.
    pub instance: u32,
    /// Patient's name as written.
    pub patient_name: String,
    /// Patient ID as written.
    pub patient_id: String,
    /// Added to every pixel: other bytes under the same UIDs.
    pub shade: u8,
    /// Bytes that follow the pixels in a private element, to make an object as large as a test wants.
    pub ballast: usize,
}

impl Object {
    /// Returns a CT slice.
    pub fn ct(study: u32, instance: u32) -> Self {
        Self {
            sop_class_uid: CT_IMAGE.to_owned(),
            modality: "CT",
            study,
            instance,
            patient_name: format!("Ashdown{study}^Winifred"),
            patient_id: format!("MRN-77{study:05}"),
            shade: 0,
            ballast: 0,
        }
    }

    /// Returns an ultrasound image: its pixels may show a name, and nobody has judged them.
    pub fn ultrasound(study: u32, instance: u32) -> Self {
        Self { sop_class_uid: ULTRASOUND_IMAGE.to_owned(), modality: "US", ..Self::ct(study, instance) }
    }

    /// Returns the SOP Instance UID.
    pub fn sop_instance_uid(&self) -> String {
        format!("{UID_ROOT}.3.{}.{}", self.study, self.instance)
    }

    /// Returns the Study Instance UID.
    pub fn study_instance_uid(&self) -> String {
        format!("{UID_ROOT}.1.{}", self.study)
    }

    /// Returns everything in it that identifies the patient, as bytes that may stand in no output.
    pub fn identifiers(&self) -> Vec<String> {
        vec![
            self.patient_name.clone(),
            self.patient_id.clone(),
            self.sop_instance_uid(),
            self.study_instance_uid(),
            "Harrowgate Infirmary".to_owned(),
            "Peverell^Octavia".to_owned(),
            "20190417".to_owned(),
        ]
    }

    /// Returns the object as a file: preamble, file meta, data set.
    pub fn file(&self) -> Bytes {
        let mut meta = Vec::new();
        meta.extend(element(0x0002, 0x0001, "OB", &[0, 1]));
        meta.extend(text(0x0002, 0x0002, "UI", &self.sop_class_uid));
        meta.extend(text(0x0002, 0x0003, "UI", &self.sop_instance_uid()));
        meta.extend(text(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN));
        meta.extend(text(0x0002, 0x0012, "UI", &format!("{UID_ROOT}.0.1")));
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        let length = u32::try_from(meta.len()).expect("a file meta is short");
        file.extend(element(0x0002, 0x0000, "UL", &length.to_le_bytes()));
        file.extend(meta);
        file.extend(self.data_set());
        file
    }

    fn data_set(&self) -> Bytes {
        let mut set = Vec::new();
        set.extend(text(0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"));
        set.extend(text(0x0008, 0x0016, "UI", &self.sop_class_uid));
        set.extend(text(0x0008, 0x0018, "UI", &self.sop_instance_uid()));
        set.extend(text(0x0008, 0x0020, "DA", "20190417"));
        set.extend(text(0x0008, 0x0030, "TM", "101500"));
        set.extend(text(0x0008, 0x0050, "SH", &format!("AC{:06}", self.study)));
        set.extend(text(0x0008, 0x0060, "CS", self.modality));
        set.extend(text(0x0008, 0x0070, "LO", "ACME"));
        set.extend(text(0x0008, 0x0080, "LO", "Harrowgate Infirmary"));
        set.extend(text(0x0008, 0x0090, "PN", "Peverell^Octavia"));
        set.extend(self.referenced_study());
        set.extend(text(0x0010, 0x0010, "PN", &self.patient_name));
        set.extend(text(0x0010, 0x0020, "LO", &self.patient_id));
        set.extend(text(0x0010, 0x0030, "DA", "19530612"));
        set.extend(text(0x0010, 0x0040, "CS", "F"));
        set.extend(text(0x0020, 0x000d, "UI", &self.study_instance_uid()));
        set.extend(text(0x0020, 0x000e, "UI", &format!("{UID_ROOT}.2.{}", self.study)));
        set.extend(text(0x0020, 0x0010, "SH", &self.study.to_string()));
        set.extend(text(0x0020, 0x0011, "IS", "1"));
        set.extend(text(0x0020, 0x0013, "IS", &self.instance.to_string()));
        if self.ballast > 0 {
            set.extend(text(0x0029, 0x0010, "LO", "ACME BALLAST"));
            set.extend(element(0x0029, 0x1001, "OB", &vec![0x5a; self.ballast]));
        }
        set.extend(self.image());
        set
    }

    fn referenced_study(&self) -> Bytes {
        let mut item = text(0x0008, 0x1150, "UI", "1.2.840.10008.3.1.2.3.1");
        item.extend(text(0x0008, 0x1155, "UI", &self.study_instance_uid()));
        sequence(0x0008, 0x1110, &[item])
    }

    fn image(&self) -> Bytes {
        let mut image = Vec::new();
        image.extend(element(0x0028, 0x0002, "US", &1u16.to_le_bytes()));
        image.extend(text(0x0028, 0x0004, "CS", "MONOCHROME2"));
        image.extend(element(0x0028, 0x0010, "US", &SIDE.to_le_bytes()));
        image.extend(element(0x0028, 0x0011, "US", &SIDE.to_le_bytes()));
        image.extend(element(0x0028, 0x0100, "US", &16u16.to_le_bytes()));
        image.extend(element(0x0028, 0x0101, "US", &12u16.to_le_bytes()));
        image.extend(element(0x0028, 0x0102, "US", &11u16.to_le_bytes()));
        image.extend(element(0x0028, 0x0103, "US", &0u16.to_le_bytes()));
        image.extend(element(0x7fe0, 0x0010, "OW", &self.pixels()));
        image
    }

    /// Returns the pixel bytes, which a delivered object holds unchanged.
    pub fn pixels(&self) -> Bytes {
        let count = u32::from(SIDE) * u32::from(SIDE);
        let value = |n: u32| ((n * 7 + self.instance * 13 + u32::from(self.shade)) % 4096) as u16;
        (0..count).flat_map(|n| value(n).to_le_bytes()).collect()
    }
}

/// Returns an element with a value of any kind, padded to even length (PS3.5 7.1.2).
pub fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Bytes {
    let length = value.len() + value.len() % 2;
    let mut bytes = Vec::with_capacity(length + 12);
    bytes.extend(group.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT") {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(length).expect("values of tests are below 4 GiB").to_le_bytes());
    } else {
        bytes.extend(u16::try_from(length).expect("a short value representation").to_le_bytes());
    }
    bytes.extend(value);
    if value.len() % 2 == 1 {
        bytes.push(if matches!(vr, "UI" | "OB" | "UN") { 0 } else { b' ' });
    }
    bytes
}

/// Returns an element with text.
pub fn text(group: u16, number: u16, vr: &str, value: &str) -> Bytes {
    element(group, number, vr, value.as_bytes())
}

/// Returns a sequence of items, all of defined length.
pub fn sequence(group: u16, number: u16, items: &[Bytes]) -> Bytes {
    let mut value = Vec::new();
    for item in items {
        value.extend([0xfe, 0xff, 0x00, 0xe0]);
        value.extend(u32::try_from(item.len()).expect("items of tests are short").to_le_bytes());
        value.extend(item);
    }
    element(group, number, "SQ", &value)
}
