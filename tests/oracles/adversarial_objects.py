"""Builds the objects of adversarial.py: real structures of many modalities with identifiers in every place, and what must stay.

An object is a pydicom Dataset; `Case` remembers which elements have to come through unchanged.
"""

import struct
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag

FACTS = Path(__file__).parents[2] / "domain" / "facts"
STORAGE = "1.2.840.10008.5.1.4.1.1."
IMPLICIT, EXPLICIT, DEFLATED, BIG, JPEG, RLE = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.5")
BENIGN = ["STANDARD", "LARGE BOWTIE FIL", "B30f", "HELICAL MODE", "syngo MR E11", "Oral contrast", "5MM AXIAL", "T2 TSE SAG", "wedge"]
TERMS = ["YES", "NO", "AXIAL", "SUPINE", "LINEAR", "NONE", "BILATERAL"]


class Places:
    """Where the facts allow attributes: used to choose places for plants, never to judge."""

    def __init__(self):
        self.trees = [[(line[i:i + 8], line[i + 8], line[i + 9:i + 13]) for i in range(0, len(line), 13)]
                      for line in (FACTS / "trees.txt").read_text().split("\n")]
        self.rows = {line.split()[1] for line in (FACTS / "e1-1.txt").read_text().splitlines() if line and line[0] != "#"}
        lines = (FACTS / "iods.txt").read_text().splitlines()
        self.classes = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("S ")}
        self.iods = [line.split() for line in lines if line.startswith("I ")]
        self.modules = [line.split() for line in lines if line.startswith("M ")]

    def top(self, sop_class):
        iod, found = self.iods[self.classes[sop_class]], {}
        for piece in iod[2:]:
            if piece[0] in "MUC" and piece[1:].isdigit():
                for tag, kind, items in self.trees[int(self.modules[int(piece[1:])][2])]:
                    found.setdefault(tag, (tag, kind, items))
        return list(found.values())


class Case:
    """One object with its answer key."""

    def __init__(self, rng, person, kind, syntax):
        self.rng, self.person, self.kind, self.syntax = rng, person, kind, syntax
        self.ds, self.kept, self.pixels = Dataset(), set(), None

    def keep(self, ds, **values):
        for keyword, value in values.items():
            setattr(ds, keyword, value)
            self.kept.add((id(ds), Tag(pydicom.datadict.tag_for_keyword(keyword))))
        return ds

    def item(self, ds, keyword, **values):
        inner = self.keep(Dataset(), **values)
        if keyword not in ds:
            setattr(ds, keyword, Sequence())
        ds[keyword].value.append(inner)
        return inner

    def code(self, ds, keyword, value, scheme, meaning):
        return self.item(ds, keyword, CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)

    def place(self, tag, vr, value):
        """A vendor's private creator with one element."""
        block = self.ds.private_block(tag >> 16, f"ACME {self.person.house} 1.0"[:60], create=True)
        block.add_new(tag & 0xFF, vr, value)


def common(case, modality, sop_class):
    ds, p = case.ds, case.person
    day = p.date(p.day)
    if p.charset:
        ds.SpecificCharacterSet = p.charset.split("\\")
    case.keep(ds, SOPClassUID=sop_class, Modality=modality)
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = p.uid(), p.study, p.series[modality]
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = day
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101112"
    ds.AccessionNumber, ds.StudyID = p.accession, p.study_id
    case.keep(ds, Manufacturer="GE MEDICAL SYSTEMS", ManufacturerModelName="Discovery CT750 HD", SeriesNumber="7")
    case.keep(ds, InstanceNumber=str(case.rng.randrange(1, 900)))
    ds.SoftwareVersions = "gmp_hde.119"
    ds.ReferringPhysicianName = f"{p.doctor}^{p.doctor_given}"
    ds.PatientName, ds.PatientID = p.name, p.id
    ds.PatientBirthDate, ds.PatientSex = p.date(p.birth), "F"
    ds.PatientAge, ds.PatientWeight = case.rng.choice(["093Y", "072Y"]), "61.5"
    ds.DeviceSerialNumber, ds.StationName = p.serial, p.station


def identifiers(case):
    """Attributes of the table, wherever they belong or not."""
    ds, p, rng = case.ds, case.person, case.rng
    ds.InstitutionName, ds.InstitutionAddress = f"{p.house} Hospital", p.address
    ds.OperatorsName, ds.PhysiciansOfRecord = p.operator, f"{p.reader}^X"
    ds.NameOfPhysiciansReadingStudy = p.reader
    ds.OtherPatientIDs = p.other_id
    # A text in Latin letters can be told to name the patient only if the object says the name in Latin letters somewhere.
    ds.OtherPatientNames = f"{p.surname}^{p.given}"
    ds.PatientMotherBirthName, ds.PatientBirthName = p.mother, p.birth_name
    ds.PatientAddress, ds.PatientTelephoneNumbers = p.address, p.phone
    ds.PatientComments = f"Aunt of {p.third}, call {p.phone} {p.email}"
    ds.AdditionalPatientHistory = f"{p.given} fell in {p.town}"
    ds.StudyDescription = f"{modality_of(ds)} {p.surname} {p.id}"[:64]
    ds.SeriesDescription = f"axial {p.given.upper()}"
    ds.ProtocolName = f"ROUTINE {p.surname}"[:64]
    ds.ImageComments, ds.DerivationDescription = f"{p.given} moved", f"made for {p.surname} by {p.third}"
    ds.RequestedProcedureDescription = f"for {p.surname}"
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = f"RP{p.accession}"[:16], f"SP{p.accession}"[:16]
    request.AccessionNumber, request.StudyInstanceUID = p.accession, p.study
    request.ScheduledProcedureStepDescription = f"CT of {p.surname}"
    request.RequestedProcedureCodeSequence = [coded("L1", "99HOUSE", f"{p.surname} protocol")]
    ds.RequestAttributesSequence = [request]
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [coded("109103", "DCM", "Modifying Equipment")]
    equipment.Manufacturer, equipment.InstitutionName = f"{p.house} Works", f"{p.house} Hospital"
    equipment.StationName, equipment.DeviceSerialNumber, equipment.ContributionDescription = p.station, p.serial, f"by {p.operator}"
    equipment.DeviceUID, equipment.OperatorsName = p.uid(), p.operator
    ds.ContributingEquipmentSequence = [equipment]
    modified = Dataset()
    modified.PatientName, modified.PatientID = f"{p.birth_name}^{p.given}", p.id
    original = Dataset()
    original.AttributeModificationDateTime = p.date(p.day) + "101112"
    original.ModifyingSystem, original.SourceOfPreviousValues, original.ReasonForTheAttributeModification = p.house, p.town, "COERCE"
    original.ModifiedAttributesSequence = [modified]
    ds.OriginalAttributesSequence = [original]
    referenced = Dataset()
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = STORAGE + "2", p.shared_uid
    ds.ReferencedStudySequence = [referenced]
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID, other.TypeOfPatientID = p.other_id, p.house, "TEXT"
    ds.OtherPatientIDsSequence = [other]
    if rng.random() < 0.5:
        ds.ProcedureCodeSequence = [coded(p.id[:16], "99LOCAL", f"chest {p.surname}")]
    if rng.random() < 0.5:
        ds.add_new(0x00321060, "LO", f"retired {p.surname}")
        ds.add_new(0x00084000, "LT", f"identifying comments {p.given}")
        ds.add_new(0x40080115, "LT", f"interpretation {p.reader}")
        ds.add_new(0x0010AAAA, "LO", p.surname)
        ds.add_new(0x1F1E0010, "UN", p.surname.encode(p.codec, "replace"))
        ds.add_new(0x0018FFFE, "UN", p.given.encode(p.codec, "replace"))


def modality_of(ds):
    return str(ds.Modality)


def coded(value, scheme, meaning):
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def private(case):
    p, ds = case.person, case.ds
    for group, vr, value in ((0x0009, "LO", p.surname), (0x0029, "UN", f"..{p.given}..{p.id}".encode(p.codec, "replace")),
                             (0x0019, "DS", "94.5"), (0x0021, "PN", p.name), (0x0033, "UI", p.uid()), (0x0035, "DA", p.date(p.birth))):
        case.place(group << 16 | 0x10, vr, value)
    inner = Dataset()
    inner.PatientName, inner.PatientID = p.name, p.id
    deep = Dataset()
    deep.OtherPatientNames = f"{p.birth_name}^{p.given}"
    inner.OriginalAttributesSequence = [deep]
    block = ds.private_block(0x0041, f"{p.surname[:20]} TOOLS", create=True)
    block.add_new(0x20, "SQ", Sequence([inner]))


def hidden(case):
    """Overlays, curves, icons, digital signatures, padding."""
    p, ds, rng = case.person, case.ds, case.rng
    text = f"{p.surname} {p.id}".encode(p.codec, "replace")
    text += b" " * (len(text) % 2)
    if rng.random() < 0.5:
        ds.add_new(0x60000010, "US", 4)
        ds.add_new(0x60000011, "US", 4)
        ds.add_new(0x60000022, "LO", p.surname)
        ds.add_new(0x60001500, "LO", p.given)
        ds.add_new(0x60003000, "OW", text)
        ds.add_new(0x50000005, "US", 2)
        ds.add_new(0x50002500, "LO", p.surname)
        ds.add_new(0x50003000, "OW", text)
        ds.add_new(0x60024000, "LT", f"overlay of {p.surname}")
    if rng.random() < 0.5:
        icon = Dataset()
        icon.Rows = icon.Columns = 4
        icon.SamplesPerPixel, icon.PhotometricInterpretation, icon.BitsAllocated = 1, "MONOCHROME2", 8
        icon.BitsStored, icon.HighBit, icon.PixelRepresentation, icon.PixelData = 8, 7, 0, (text * 4)[:16]
        ds.IconImageSequence = [icon]
    if rng.random() < 0.5:
        ds.add_new(0xFFFCFFFC, "OB", text)
        signature = Dataset()
        signature.MACIDNumber, signature.DigitalSignatureUID = 1, p.uid()
        signature.DigitalSignatureDateTime = p.date(p.day) + "101112"
        signature.CertificateType, signature.CertificateOfSigner, signature.Signature = "X509_1993_SIG", text, text
        ds.DigitalSignaturesSequence = [signature]


def pixels(case, rows, columns, bits, frames=1, photometric="MONOCHROME2", signed=0):
    """Native, RLE or JPEG pixel data; a comment and EXIF with a name inside JPEG."""
    ds, rng, p = case.ds, case.rng, case.person
    samples = 3 if photometric in ("RGB", "YBR_FULL_422") else 1
    case.keep(ds, SamplesPerPixel=samples, PhotometricInterpretation=photometric, Rows=rows, Columns=columns, BitsAllocated=bits,
              BitsStored=bits if bits == 8 else 12, HighBit=(bits if bits == 8 else 12) - 1, PixelRepresentation=signed)
    if samples == 3:
        case.keep(ds, PlanarConfiguration=0)
    if frames > 1:
        case.keep(ds, NumberOfFrames=str(frames))
    size = rows * columns * samples * bits // 8
    native = [bytes(rng.randrange(0, 15) for _ in range(size)) for _ in range(frames)]
    if case.syntax == RLE:
        ds.PixelData = encapsulate([rle(frame, samples * bits // 8) for frame in native])
    elif case.syntax == JPEG:
        ds.PixelData = encapsulate([jpeg(rows, columns, p.surname.encode("utf-8")) for _ in native])
    else:
        raw = b"".join(native)
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB" if bits == 8 and case.syntax != IMPLICIT or case.syntax in (RLE, JPEG) else "OW"
    ds["PixelData"].is_undefined_length = case.syntax in (RLE, JPEG)


def rle(frame, planes):
    out, offsets = b"", []
    for plane in range(planes):
        offsets.append(64 + len(out))
        data, segment = frame[planes - 1 - plane::planes], b""
        for at in range(0, len(data), 128):
            piece = data[at:at + 128]
            segment += bytes([len(piece) - 1]) + piece
        out += segment + b"\0" * (len(segment) % 2)
    return struct.pack("<16I", planes, *offsets, *[0] * (15 - planes)) + out


def jpeg(rows, columns, name):
    """A flat grey baseline JPEG: each block is one bit of DC and one of AC."""
    def segment(marker, body):
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    blocks = -(-rows // 8) * -(-columns // 8)
    bits = "00" * blocks
    bits += "1" * (-len(bits) % 8)
    scan = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    table = bytes([1] + [0] * 15 + [0])
    return (b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + segment(0xFE, b"made for " + name) + segment(0xE1, b"Exif\0\0" + name)
            + segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC0, struct.pack(">BHHB", 8, rows, columns, 1) + b"\1\x11\0")
            + segment(0xC4, b"\0" + table) + segment(0xC4, b"\x10" + table) + segment(0xDA, b"\1\1\0\0\x3f\0") + scan + b"\xff\xd9")


def geometry(case, ds=None):
    ds, rng = case.ds if ds is None else ds, case.rng
    case.keep(ds, ImagePositionPatient=[f"{rng.uniform(-200, 200):.4f}" for _ in range(3)],
              ImageOrientationPatient=["1.000000", "0", "-0", "0.0", "1", "0"])


def plane(case, spacing="0.661468"):
    ds, rng = case.ds, case.rng
    geometry(case)
    case.keep(ds, PixelSpacing=[spacing, spacing], SliceThickness="5.000000", SliceLocation=f"{rng.uniform(-200, 200):.6f}",
              PositionReferenceIndicator="SN")
    ds.FrameOfReferenceUID = case.person.frame_uid
    case.keep(ds, PatientPosition="HFS")


def ct(case):
    common(case, "CT", STORAGE + "2")
    plane(case)
    case.keep(case.ds, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], KVP="120", RescaleIntercept="-1024", RescaleSlope="1",
              RescaleType="HU", WindowCenter=["40", "-500"], WindowWidth=["350", "1500"], WindowCenterWidthExplanation=["WINDOW1", "LUNG"],
              ConvolutionKernel="STANDARD", ExposureTime="800", XRayTubeCurrent="200", Exposure="160", FilterType="BODY FILTER",
              GantryDetectorTilt="0.0", TableHeight="137.5", RotationDirection="CW", FocalSpots=["0.7"], SpacingBetweenSlices="5.0",
              DataCollectionDiameter="500", ReconstructionDiameter="338.67", AcquisitionNumber="2", BodyPartExamined="CHEST",
              SpiralPitchFactor=1.375, CTDIvol=12.25, SingleCollimationWidth=0.625, ContrastBolusRoute="IV", ScanOptions="HELICAL MODE",
              PixelPaddingValue=0, BurnedInAnnotation="NO", LossyImageCompression="00")
    case.code(case.ds, "AnatomicRegionSequence", "51185008", "SCT", "Chest")
    pixels(case, 8, 8, 16)


def mr(case):
    common(case, "MR", STORAGE + "4")
    plane(case, "0.3125")
    case.keep(case.ds, ImageType=["ORIGINAL", "PRIMARY", "M", "ND"], ScanningSequence="SE", SequenceVariant=["SK", "SP"],
              ScanOptions="FS", MRAcquisitionType="2D", EchoTime="92.5", RepetitionTime="4000.0", FlipAngle="90", EchoTrainLength="13",
              MagneticFieldStrength="1.5", InversionTime="100", NumberOfAverages="2", ImagingFrequency="63.6771", EchoNumbers="1",
              ImagedNucleus="1H", SpacingBetweenSlices="6.0", NumberOfPhaseEncodingSteps="256", PercentSampling="100",
              PercentPhaseFieldOfView="81.25", PixelBandwidth="130", ReceiveCoilName="HEADNECK_20", TransmitCoilName="Body",
              AcquisitionMatrix=[0, 320, 256, 0], InPlanePhaseEncodingDirection="ROW", VariableFlipAngleFlag="N", SAR="0.5", dBdt="0",
              WindowCenter="600", WindowWidth="1600", SequenceName="*tse2d1_13", AngioFlag="N")
    pixels(case, 8, 8, 16)


def enhanced(case, modality):
    common(case, modality, STORAGE + {"CT": "2.1", "MR": "4.1"}[modality])
    ds, p = case.ds, case.person
    case.keep(ds, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
              VolumeBasedCalculationTechnique="NONE", PresentationLUTShape="IDENTITY", BurnedInAnnotation="NO", LossyImageCompression="00",
              AcquisitionNumber="1", ContentQualification="RESEARCH")
    ds.AcquisitionDateTime = p.date(p.day) + "101112.5"
    ds.FrameOfReferenceUID = p.frame_uid
    if modality == "MR":
        case.keep(ds, MagneticFieldStrength=3.0, ResonantNucleus="1H", KSpaceFiltering="NONE", ComplexImageComponent="MAGNITUDE",
                  AcquisitionContrast="T2", PulseSequenceName="TSE", EchoPulseSequence="SPIN", MRAcquisitionType="3D", AcquisitionDuration=61.5)
    else:
        case.keep(ds, MultienergyCTAcquisition="NO")
    shared = case.item(ds, "SharedFunctionalGroupsSequence")
    case.item(shared, "PixelMeasuresSequence", PixelSpacing=["0.5", "0.5"], SliceThickness="2.5", SpacingBetweenSlices="2.5")
    case.item(shared, "PlaneOrientationSequence", ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    anatomy = case.item(shared, "FrameAnatomySequence", FrameLaterality="U")
    case.code(anatomy, "AnatomicRegionSequence", "69536005", "SCT", "Head")
    if modality == "MR":
        case.item(shared, "MRTimingAndRelatedParametersSequence", RepetitionTime="4000", FlipAngle="90", EchoTrainLength=13,
                  RFEchoTrainLength=13, GradientEchoTrainLength=0)
        case.item(shared, "MREchoSequence", EffectiveEchoTime=92.5)
        coil = case.item(shared, "MRReceiveCoilSequence", ReceiveCoilName="HEAD", ReceiveCoilType="MULTICOIL", QuadratureReceiveCoil="NO")
        coil.ReceiveCoilManufacturerName = "Siemens"
        case.item(coil, "MultiCoilDefinitionSequence", MultiCoilElementName="A1", MultiCoilElementUsed="YES")
    else:
        case.item(shared, "CTReconstructionSequence", ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel="B30f",
                  ConvolutionKernelGroup="SOFT_TISSUE", ReconstructionDiameter="338.67", ReconstructionAngle=360.0)
        case.item(shared, "CTExposureSequence", ExposureTimeInms=800.0, XRayTubeCurrentInmA=200.0, ExposureInmAs=160.0, CTDIvol=12.25)
        case.item(shared, "CTXRayDetailsSequence", KVP="120", FocalSpots=["0.7"], FilterType="FLAT", FilterMaterial=["ALUMINUM"])
    for number in range(3):
        frame = case.item(ds, "PerFrameFunctionalGroupsSequence")
        content = case.item(frame, "FrameContentSequence", StackID="1", InStackPositionNumber=number + 1, TemporalPositionIndex=1,
                            DimensionIndexValues=[1, number + 1], FrameAcquisitionNumber=1)
        content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = p.date(p.day) + "101112.5"
        content.FrameComments, content.FrameLabel = f"frame of {p.surname}", p.given[:16]
        case.item(frame, "PlanePositionSequence", ImagePositionPatient=["-10.5", "7.25", str(2.5 * number)])
        case.item(frame, "FrameVOILUTSequence", WindowCenter="40", WindowWidth="350", WindowCenterWidthExplanation="NORMAL")
        case.item(frame, "PixelValueTransformationSequence", RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")
        case.item(frame, f"{modality}ImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
                  PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE")
        referenced = Dataset()
        referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = STORAGE + "2", p.shared_uid
        referenced.PurposeOfReferenceCodeSequence = [coded("121311", "DCM", "Localizer")]
        frame.ReferencedImageSequence = [referenced]
        if modality == "MR":
            case.item(frame, "MRDiffusionSequence", DiffusionBValue=1000.0, DiffusionDirectionality="ISOTROPIC")
    uid = p.uid()
    case.item(ds, "DimensionOrganizationSequence").DimensionOrganizationUID = uid
    index = case.item(ds, "DimensionIndexSequence", DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111)
    index.DimensionOrganizationUID, index.DimensionDescriptionLabel = uid, "Stack"
    pixels(case, 8, 8, 16, frames=3)


def nuclear(case, modality):
    common(case, modality, STORAGE + {"PT": "128", "NM": "20"}[modality])
    ds, p = case.ds, case.person
    drug = case.item(ds, "RadiopharmaceuticalInformationSequence", Radiopharmaceutical="FDG", RadionuclideTotalDose="370000000")
    if modality == "PT":
        case.keep(drug, RadionuclideHalfLife="6586.2", RadionuclidePositronFraction="0.97")
    drug.RadiopharmaceuticalStartTime, drug.RadiopharmaceuticalStartDateTime = "093000", p.date(p.day) + "093000"
    case.code(drug, "RadionuclideCodeSequence", "77004003", "SCT", "^18^Fluorine")
    case.code(drug, "RadiopharmaceuticalCodeSequence", "35321007", "SCT", "Fluorodeoxyglucose F^18^")
    case.code(ds, "PatientOrientationCodeSequence", "102538003", "SCT", "recumbent")
    if modality == "PT":
        plane(case, "4.07283")
        case.keep(ds, ImageType=["ORIGINAL", "PRIMARY"], Units="BQML", CountsSource="EMISSION", DecayCorrection="START",
                  SeriesType=["WHOLE BODY", "IMAGE"], NumberOfSlices=47, CorrectedImage=["DECY", "ATTN"], CollimatorType="NONE",
                  ReconstructionMethod="OSEM3D 4i8s", AttenuationCorrectionMethod="measured,CT", FrameReferenceTime="150000",
                  DecayFactor="1.02", ImageIndex=9, RescaleIntercept="0", RescaleSlope="1.5", ActualFrameDuration="180000")
        pixels(case, 8, 8, 16, signed=1)
    else:
        case.keep(ds, ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], FrameIncrementPointer=[0x00540010, 0x00540020],
                  EnergyWindowVector=[1, 1], DetectorVector=[1, 2], NumberOfEnergyWindows=1, NumberOfDetectors=2, PixelSpacing=["4.8", "4.8"],
                  CountsAccumulated="500000", ActualFrameDuration="300000")
        window = case.item(ds, "EnergyWindowInformationSequence", EnergyWindowName="Tc99m")
        case.item(window, "EnergyWindowRangeSequence", EnergyWindowLowerLimit="126.4", EnergyWindowUpperLimit="154.6")
        for view in ("ANT", "POST"):
            detector = case.item(ds, "DetectorInformationSequence", CollimatorType="PARA", ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"])
            detector.CollimatorGridName = "LEHR"
            case.code(detector, "ViewCodeSequence", "399033003", "SCT", view.lower())
        pixels(case, 8, 8, 16, frames=2)


def projection(case, modality):
    common(case, {"CR": "CR", "DX": "DX", "MG": "MG"}[modality], STORAGE + {"CR": "1", "DX": "1.1", "MG": "1.2"}[modality])
    ds, p = case.ds, case.person
    case.keep(ds, ImageType=["ORIGINAL", "PRIMARY"], KVP="81", ExposureTime="12", Exposure="4", BodyPartExamined="CHEST",
              ViewPosition="PA", ImagerPixelSpacing=["0.143", "0.143"], DistanceSourceToDetector="1800", PatientOrientation=["L", "F"],
              WindowCenter="2048", WindowWidth="4096", LossyImageCompression="00")
    if modality != "CR":
        case.keep(ds, PresentationIntentType="FOR PRESENTATION", PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=-1,
                  RescaleIntercept="0", RescaleSlope="1", RescaleType="US", PresentationLUTShape="IDENTITY", BurnedInAnnotation="NO",
                  ImageLaterality="L" if modality == "MG" else "U", DetectorType="DIRECT", DetectorActiveShape="RECTANGLE", Grid="NONE",
                  FieldOfViewOrigin=["0", "0"], FieldOfViewRotation="0", FieldOfViewHorizontalFlip="NO", EntranceDoseInmGy="0.1")
        ds.DetectorID, ds.DateOfLastDetectorCalibration = p.serial, p.date(p.day)
        ds.AcquisitionDeviceProcessingDescription = "CHEST STANDARD"
        case.code(ds, "AnatomicRegionSequence", "51185008", "SCT", "Chest")
        case.code(ds, "ViewCodeSequence", "399348003", "SCT", "postero-anterior")
        ds.AcquisitionContextSequence = []
        case.item(ds, "ReferencedImageSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
        series = case.item(ds, "ReferencedSeriesSequence")
        series.SeriesInstanceUID = p.series["CT"]
        case.item(series, "ReferencedInstanceSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
        lut = case.item(ds, "VOILUTSequence", LUTDescriptor=[4, 0, 16], LUTExplanation="NORMAL")
        lut.add_new(0x00283006, "OW", b"\0\0\1\0\2\0\3\0")
        case.kept.add((id(lut), Tag(0x00283006)))
    if modality == "MG":
        case.keep(ds, PositionerType="MAMMOGRAPHIC", PositionerPrimaryAngle="0", BodyPartThickness="52", CompressionForce="90",
                  AnodeTargetMaterial="TUNGSTEN", FilterMaterial="RHODIUM", OrganExposed="BREAST", PartialView="NO")
    pixels(case, 8, 8, 16)


def rtstruct(case):
    common(case, "RTSTRUCT", STORAGE + "481.3")
    ds, p = case.ds, case.person
    ds.StructureSetLabel, ds.StructureSetName, ds.StructureSetDate, ds.StructureSetTime = p.surname[:16], p.given, p.date(p.day), "101112"
    frame = case.item(ds, "ReferencedFrameOfReferenceSequence")
    frame.FrameOfReferenceUID = p.frame_uid
    study = case.item(frame, "RTReferencedStudySequence", ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1")
    study.ReferencedSOPInstanceUID = p.study
    series = case.item(study, "RTReferencedSeriesSequence")
    series.SeriesInstanceUID = p.series["CT"]
    case.item(series, "ContourImageSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
    for number, name in enumerate(["PTV", f"GTV {p.surname}"], 1):
        roi = case.item(ds, "StructureSetROISequence", ROINumber=str(number), ROIGenerationAlgorithm="MANUAL")
        roi.ReferencedFrameOfReferenceUID, roi.ROIName, roi.ROIDescription = p.frame_uid, name, f"drawn by {p.reader}"
        contour = case.item(ds, "ROIContourSequence", ROIDisplayColor=["255", "0", "0"], ReferencedROINumber=str(number))
        points = [f"{case.rng.uniform(-99, 99):.3f}" for _ in range(12)]
        shape = case.item(contour, "ContourSequence", ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints="4", ContourData=points)
        case.item(shape, "ContourImageSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
        seen = case.item(ds, "RTROIObservationsSequence", ObservationNumber=str(number), ReferencedROINumber=str(number),
                         RTROIInterpretedType="PTV")
        seen.ROIInterpreter, seen.ROIObservationLabel, seen.ROIObservationDescription = f"{p.reader}^X", p.given[:16], f"of {p.surname}"


def rtplan(case):
    common(case, "RTPLAN", STORAGE + "481.5")
    ds, p = case.ds, case.person
    ds.RTPlanLabel, ds.RTPlanName, ds.RTPlanDescription, ds.RTPlanDate, ds.RTPlanTime = p.given[:16], p.surname, f"for {p.surname}", p.date(p.day), "101112"
    case.keep(ds, RTPlanGeometry="PATIENT")
    case.item(ds, "ReferencedStructureSetSequence", ReferencedSOPClassUID=STORAGE + "481.3").ReferencedSOPInstanceUID = p.shared_uid
    group = case.item(ds, "FractionGroupSequence", FractionGroupNumber="1", NumberOfFractionsPlanned="25", NumberOfBeams="1", NumberOfBrachyApplicationSetups="0")
    case.item(group, "ReferencedBeamSequence", ReferencedBeamNumber="1", BeamMeterset="120.5", BeamDose="1.8")
    case.item(ds, "PatientSetupSequence", PatientPosition="HFS", PatientSetupNumber="1").SetupTechniqueDescription = f"as for {p.surname}"
    dose = case.item(ds, "DoseReferenceSequence", DoseReferenceNumber="1", DoseReferenceStructureType="COORDINATES", DoseReferenceType="TARGET",
                     TargetPrescriptionDose="45", DoseReferencePointCoordinates=["1.0", "2.0", "3.0"])
    dose.DoseReferenceUID, dose.DoseReferenceDescription = p.uid(), f"dose of {p.surname}"
    beam = case.item(ds, "BeamSequence", BeamNumber="1", BeamType="STATIC", RadiationType="PHOTON", SourceAxisDistance="1000",
                     TreatmentDeliveryType="TREATMENT", NumberOfWedges="0", NumberOfCompensators="0", NumberOfBoli="0", NumberOfBlocks="0",
                     FinalCumulativeMetersetWeight="1", NumberOfControlPoints="2", PrimaryDosimeterUnit="MU")
    beam.BeamName, beam.BeamDescription, beam.TreatmentMachineName = p.surname, f"AP {p.surname}", p.station
    beam.InstitutionName, beam.DeviceSerialNumber = p.house, p.serial
    case.item(beam, "BeamLimitingDeviceSequence", RTBeamLimitingDeviceType="MLCX", NumberOfLeafJawPairs="2", LeafPositionBoundaries=["-10", "0", "10"])
    for number in range(2):
        point = case.item(beam, "ControlPointSequence", ControlPointIndex=str(number), CumulativeMetersetWeight=str(number), NominalBeamEnergy="6",
                          GantryAngle="180.0", GantryRotationDirection="NONE", IsocenterPosition=["-1.5", "2.25", "-30.0"],
                          BeamLimitingDeviceAngle="0", BeamLimitingDeviceRotationDirection="NONE", PatientSupportAngle="0",
                          PatientSupportRotationDirection="NONE", TableTopEccentricAngle="0", TableTopEccentricRotationDirection="NONE",
                          TableTopVerticalPosition="", TableTopLongitudinalPosition="", TableTopLateralPosition="")
        case.item(point, "BeamLimitingDevicePositionSequence", RTBeamLimitingDeviceType="MLCX", LeafJawPositions=["-5", "-5", "5", "5"])
    ds.ApprovalStatus, ds.ReviewDate, ds.ReviewTime, ds.ReviewerName = "APPROVED", p.date(p.day), "101112", f"{p.reader}^X"
    case.kept.add((id(ds), Tag(0x300E0002)))


def rtdose(case):
    common(case, "RTDOSE", STORAGE + "481.2")
    ds, p = case.ds, case.person
    plane(case)
    del ds.PatientPosition
    case.keep(ds, DoseUnits="GY", DoseType="PHYSICAL", DoseSummationType="PLAN", DoseGridScaling="0.0001234", GridFrameOffsetVector=["0", "2.5", "5"],
              FrameIncrementPointer=0x3004000C, TissueHeterogeneityCorrection="IMAGE", NormalizationPoint=["1", "2", "3"])
    ds.DoseComment = f"dose of {p.surname}"
    case.item(ds, "ReferencedRTPlanSequence", ReferencedSOPClassUID=STORAGE + "481.5").ReferencedSOPInstanceUID = p.shared_uid
    pixels(case, 8, 8, 16, frames=3)
    ds.BitsStored, ds.HighBit = 16, 15


def segmentation(case):
    common(case, "SEG", STORAGE + "66.4")
    ds, p = case.ds, case.person
    case.keep(ds, ImageType=["DERIVED", "PRIMARY"], SegmentationType="BINARY", LossyImageCompression="00")
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "SEGMENTS", f"segments of {p.surname}", f"{p.reader}^X"
    ds.FrameOfReferenceUID = p.frame_uid
    uid = p.uid()
    case.item(ds, "DimensionOrganizationSequence").DimensionOrganizationUID = uid
    case.item(ds, "DimensionIndexSequence", DimensionIndexPointer=0x0062000B, FunctionalGroupPointer=0x0062000A).DimensionOrganizationUID = uid
    segment = case.item(ds, "SegmentSequence", SegmentNumber=1, SegmentAlgorithmType="MANUAL", RecommendedDisplayCIELabValue=[100, 200, 300])
    segment.SegmentLabel, segment.SegmentDescription, segment.TrackingID, segment.TrackingUID = p.surname, f"liver of {p.given}", p.id, p.uid()
    case.code(segment, "SegmentedPropertyCategoryCodeSequence", "123037004", "SCT", "Anatomical Structure")
    case.code(segment, "SegmentedPropertyTypeCodeSequence", "10200004", "SCT", "Liver")
    series = case.item(ds, "ReferencedSeriesSequence")
    series.SeriesInstanceUID = p.series["CT"]
    case.item(series, "ReferencedInstanceSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
    shared = case.item(ds, "SharedFunctionalGroupsSequence")
    case.item(shared, "PixelMeasuresSequence", PixelSpacing=["0.5", "0.5"], SliceThickness="2.5")
    case.item(shared, "PlaneOrientationSequence", ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    for number in range(2):
        frame = case.item(ds, "PerFrameFunctionalGroupsSequence")
        case.item(frame, "FrameContentSequence", DimensionIndexValues=[1])
        case.item(frame, "PlanePositionSequence", ImagePositionPatient=["-10.5", "7.25", str(2.5 * number)])
        case.item(frame, "SegmentIdentificationSequence", ReferencedSegmentNumber=1)
        derived = case.item(frame, "DerivationImageSequence")
        case.code(derived, "DerivationCodeSequence", "113076", "DCM", "Segmentation")
        source = case.item(derived, "SourceImageSequence", ReferencedSOPClassUID=STORAGE + "2")
        source.ReferencedSOPInstanceUID = p.shared_uid
        case.code(source, "PurposeOfReferenceCodeSequence", "121322", "DCM", "Source image for image processing operation")
    case.keep(ds, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", Rows=8, Columns=8, BitsAllocated=1, BitsStored=1, HighBit=0,
              PixelRepresentation=0, NumberOfFrames="2")
    ds.add_new(0x7FE00010, "OW" if case.syntax == IMPLICIT else "OB", bytes(case.rng.randrange(256) for _ in range(16)))


def evidence(case, keyword="CurrentRequestedProcedureEvidenceSequence"):
    p = case.person
    study = case.item(case.ds, keyword)
    study.StudyInstanceUID = p.study
    series = case.item(study, "ReferencedSeriesSequence")
    series.SeriesInstanceUID = p.series["CT"]
    case.item(series, "ReferencedSOPSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid


def report(case, modality):
    sop_class = {"KO": "88.59", "SR": case.rng.choice(["88.11", "88.22", "88.33"])}[modality]
    common(case, modality, STORAGE + sop_class)
    ds, p = case.ds, case.person
    case.keep(ds, ValueType="CONTAINER", ContinuityOfContent="SEPARATE")
    if modality == "SR":
        case.keep(ds, CompletionFlag="COMPLETE", VerificationFlag="VERIFIED")
        verifier = Dataset()
        verifier.VerifyingObserverName, verifier.VerifyingOrganization = f"{p.reader}^X", p.house
        verifier.VerificationDateTime, verifier.VerifyingObserverIdentificationCodeSequence = p.date(p.day) + "101112", []
        ds.VerifyingObserverSequence = [verifier]
    ds.PerformedProcedureCodeSequence, ds.ReferencedPerformedProcedureStepSequence = [], []
    case.code(ds, "ConceptNameCodeSequence", *(("113000", "DCM", "Of Interest") if modality == "KO" else ("18748-4", "LN", "Diagnostic imaging report")))
    text = Dataset()
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", f"{p.given} {p.surname} has nothing; seen by {p.reader}"
    text.ConceptNameCodeSequence = [coded("121071", "DCM", "Finding")]
    person = Dataset()
    person.RelationshipType, person.ValueType, person.PersonName = "HAS OBS CONTEXT", "PNAME", f"{p.reader}^X"
    person.ConceptNameCodeSequence = [coded("121008", "DCM", "Person Observer Name")]
    image = Dataset()
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    referenced = Dataset()
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = STORAGE + "2", p.shared_uid
    image.ReferencedSOPSequence = [referenced]
    ds.ContentSequence = [text, person, image]
    evidence(case)


def presentation(case):
    common(case, "PR", STORAGE + "11.1")
    ds, p = case.ds, case.person
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = p.town.upper()[:16], f"for {p.surname}", f"{p.reader}^X"
    ds.PresentationCreationDate, ds.PresentationCreationTime = p.date(p.day), "101112"
    series = case.item(ds, "ReferencedSeriesSequence")
    series.SeriesInstanceUID = p.series["CT"]
    case.item(series, "ReferencedImageSequence", ReferencedSOPClassUID=STORAGE + "2").ReferencedSOPInstanceUID = p.shared_uid
    area = case.item(ds, "DisplayedAreaSelectionSequence", DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[8, 8],
                     PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=["1", "1"])
    del area
    case.keep(ds, PresentationLUTShape="IDENTITY")
    layer = case.item(ds, "GraphicLayerSequence", GraphicLayerOrder="1")
    layer.GraphicLayer, layer.GraphicLayerDescription = "LAYER1", f"notes on {p.surname}"
    notes = Dataset()
    notes.GraphicLayer = "LAYER1"
    text = Dataset()
    text.UnformattedTextValue, text.AnchorPoint, text.AnchorPointVisibility = f"{p.surname} {p.id}", [1.0, 2.0], "Y"
    text.AnchorPointAnnotationUnits = "PIXEL"
    notes.TextObjectSequence = [text]
    ds.GraphicAnnotationSequence = [notes]
    case.item(ds, "SoftcopyVOILUTSequence", WindowCenter="40", WindowWidth="350")


def ecg(case):
    common(case, "ECG", STORAGE + "9.1.1")
    ds, p = case.ds, case.person
    ds.AcquisitionDateTime, ds.AcquisitionContextSequence = p.date(p.day) + "101112", []
    wave = case.item(ds, "WaveformSequence", MultiplexGroupTimeOffset="0", WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=2,
                     NumberOfWaveformSamples=4, SamplingFrequency="500", WaveformBitsAllocated=16, WaveformSampleInterpretation="SS")
    wave.MultiplexGroupLabel = f"RHYTHM {p.surname}"
    for lead in ("I", "II"):
        channel = case.item(wave, "ChannelDefinitionSequence", ChannelSensitivity="2.5", ChannelSensitivityCorrectionFactor="1", ChannelBaseline="0",
                            WaveformBitsStored=16, ChannelTimeSkew="0")
        channel.ChannelLabel = f"{lead} {p.given}"
        case.code(channel, "ChannelSourceSequence", "2:1", "MDC", f"Lead {lead}")
        case.code(channel, "ChannelSensitivityUnitsSequence", "uV", "UCUM", "microvolt")
    wave.add_new(0x54001010, "OW", bytes(range(16)))
    case.kept.add((id(wave), Tag(0x54001010)))
    note = Dataset()
    note.UnformattedTextValue, note.ReferencedWaveformChannels, note.AnnotationGroupNumber = f"{p.surname} sinus", [1, 0], 1
    ds.WaveformAnnotationSequence = [note]


def document(case):
    common(case, "DOC", STORAGE + "104.1")
    ds, p = case.ds, case.person
    ds.ConversionType = "WSD"
    ds.AcquisitionDateTime, ds.BurnedInAnnotation, ds.DocumentTitle = p.date(p.day) + "101112", "YES", f"Report on {p.surname}"
    ds.ConceptNameCodeSequence = [coded("18748-4", "LN", "Diagnostic imaging report")]
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    body = f"%PDF-1.4 {p.surname} {p.id}".encode("utf-8")
    ds.add_new(0x00420011, "OB", body + b" " * (len(body) % 2))


def colour(case, modality):
    common(case, modality, STORAGE + {"US": "6.1", "OT": "7", "SM": "77.1.6"}[modality])
    ds, p = case.ds, case.person
    case.keep(ds, ImageType=["DERIVED", "SECONDARY"] if modality == "OT" else ["ORIGINAL", "PRIMARY"])
    if modality == "US":
        case.item(ds, "SequenceOfUltrasoundRegions", RegionSpatialFormat=1, RegionDataType=1, RegionFlags=2, RegionLocationMinX0=0,
                  RegionLocationMinY0=0, RegionLocationMaxX1=7, RegionLocationMaxY1=7, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3,
                  PhysicalDeltaX=0.02, PhysicalDeltaY=0.02)
        case.keep(ds, TransducerType="LINEAR", MechanicalIndex="1.1", LossyImageCompression="00")
    if modality == "OT":
        ds.ConversionType, ds.SecondaryCaptureDeviceID = "WSD", p.serial
        ds.SecondaryCaptureDeviceManufacturer, ds.DateOfSecondaryCapture = f"{p.house} Inc", p.date(p.day)
    if modality == "SM":
        case.keep(ds, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], TotalPixelMatrixColumns=8, TotalPixelMatrixRows=8, ImagedVolumeWidth=1.0,
                  ImagedVolumeHeight=1.0, ImagedVolumeDepth=0.01, VolumetricProperties="VOLUME", SpecimenLabelInImage="NO", FocusMethod="AUTO",
                  ExtendedDepthOfField="NO", LossyImageCompression="00", BurnedInAnnotation="NO", ImageOrientationSlide=["0", "-1", "0", "-1", "0", "0"])
        ds.ContainerIdentifier, ds.AcquisitionDateTime = f"S-{p.accession}", p.date(p.day) + "101112"
        ds.LabelText, ds.BarcodeValue = f"{p.surname}", p.id
        specimen = case.item(ds, "SpecimenDescriptionSequence")
        specimen.SpecimenIdentifier, specimen.SpecimenUID, specimen.SpecimenShortDescription = f"S-{p.id}", p.uid(), f"skin, {p.surname}"
        path = case.item(ds, "OpticalPathSequence", OpticalPathIdentifier="1")
        case.code(path, "IlluminationTypeCodeSequence", "111744", "DCM", "Brightfield illumination")
        shared = case.item(ds, "SharedFunctionalGroupsSequence")
        case.item(shared, "PixelMeasuresSequence", PixelSpacing=["0.001", "0.001"], SliceThickness="0.01")
    jpeg_here = case.syntax == JPEG
    pixels(case, 8, 8, 8, photometric="MONOCHROME2" if jpeg_here else "RGB")


KINDS = {
    "ct": ct, "mr": mr, "enhanced_ct": lambda c: enhanced(c, "CT"), "enhanced_mr": lambda c: enhanced(c, "MR"),
    "pt": lambda c: nuclear(c, "PT"), "nm": lambda c: nuclear(c, "NM"), "cr": lambda c: projection(c, "CR"), "dx": lambda c: projection(c, "DX"),
    "mg": lambda c: projection(c, "MG"), "rtstruct": rtstruct, "rtplan": rtplan, "rtdose": rtdose, "seg": segmentation,
    "sr": lambda c: report(c, "SR"), "ko": lambda c: report(c, "KO"), "pr": presentation, "ecg": ecg, "pdf": document,
    "us": lambda c: colour(c, "US"), "sc": lambda c: colour(c, "OT"), "wsi": lambda c: colour(c, "SM"),
}
MODALITIES = ["CT", "MR", "PT", "NM", "CR", "DX", "MG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SEG", "SR", "KO", "PR", "ECG", "DOC", "US", "OT", "SM"]
COMPRESSIBLE = {"ct", "mr", "enhanced_ct", "enhanced_mr", "cr", "dx", "mg", "us", "sc", "wsi"}
