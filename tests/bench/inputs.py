"""Makes the objects that the benchmark runs over: CT slices of 0.53 MB, comprehensive SRs of 23 KB, one 2 GB multiframe.

Every object has its own UIDs and patient, private attributes, nested sequences. The same seed gives the same bytes.
"""

import argparse
import random
import struct
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

UID_ROOT = "1.2.826.0.1.3680043.10.1999"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2.1"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
CT_ROWS = CT_COLUMNS = 512
SR_MEASUREMENTS = 109
SURNAMES = ["Abernathy", "Brightwater", "Castellane", "Drummond", "Eastlake", "Fairweather", "Goldhawk", "Hollander"]
GIVEN_NAMES = ["Agnes", "Bertram", "Clementine", "Dorian", "Eudora", "Fergus", "Griselda", "Horatio"]


def code(value, scheme, meaning):
    """Returns a one-item code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def reference(sop_class, instance):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item


def identity(dataset, rng, number, series, instance):
    """Fills in the patient, study and series that every object has; three objects in four share none of them."""
    surname, given = rng.choice(SURNAMES), rng.choice(GIVEN_NAMES)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = f"{surname}^{given}"
    dataset.PatientID = f"PAT{number // 4:07d}"
    dataset.IssuerOfPatientID = "HOSP-A"
    dataset.PatientBirthDate = f"19{rng.randint(30, 99)}0{rng.randint(1, 9)}1{rng.randint(0, 9)}"
    dataset.PatientSex = rng.choice("MF")
    dataset.PatientAge = f"0{rng.randint(20, 88)}Y"
    dataset.PatientWeight = str(rng.randint(45, 110))
    dataset.PatientSize = "1.71"
    dataset.PatientAddress = f"{rng.randint(1, 99)} Harbour Road"
    dataset.OtherPatientIDs = f"ALT{number:07d}"
    dataset.EthnicGroup = "unstated"
    dataset.PatientComments = f"{surname} prefers to be called {given}"
    dataset.StudyInstanceUID = f"{UID_ROOT}.1.{number // 4}"
    dataset.SeriesInstanceUID = f"{UID_ROOT}.2.{number // 4}.{series}"
    dataset.SOPInstanceUID = f"{UID_ROOT}.3.{number}.{instance}"
    dataset.StudyID = f"S{number // 4}"
    dataset.AccessionNumber = f"ACC{number // 4:08d}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240311"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101502.123"
    dataset.StudyDescription = f"CT CHEST FOR {surname.upper()}"
    dataset.SeriesDescription = "AXIAL 5.0 B31f"
    dataset.InstitutionName = "Harbour General"
    dataset.InstitutionAddress = "1 Harbour Road, Portmouth"
    dataset.InstitutionalDepartmentName = "Radiology"
    dataset.ReferringPhysicianName = "Quill^Peregrine"
    dataset.PerformingPhysicianName = "Marlow^Imogen"
    dataset.OperatorsName = "Tanner^Jo"
    dataset.Manufacturer = "ACME IMAGING"
    dataset.ManufacturerModelName = "Spiral 64"
    dataset.StationName = "CTHARB1"
    dataset.DeviceSerialNumber = "SN-88213"
    dataset.SoftwareVersions = "VA48A"
    dataset.SeriesNumber, dataset.InstanceNumber = series, instance


def private_block(dataset, group, creator, values):
    block = dataset.private_block(group, creator, create=True)
    for offset, (vr, value) in enumerate(values, start=1):
        block.add_new(offset, vr, value)


def ct_slice(number):
    """Returns a CT Image without its pixels: about 120 elements, nested sequences and two private blocks among them."""
    rng = random.Random(f"ct/{number}")
    ct = Dataset()
    identity(ct, rng, number, 3, number + 1)
    ct.SOPClassUID, ct.Modality = CT_IMAGE, "CT"
    ct.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    ct.AcquisitionDate, ct.AcquisitionTime, ct.AcquisitionNumber = "20240311", "101501.9", 2
    ct.FrameOfReferenceUID = f"{UID_ROOT}.4.{number // 4}"
    ct.PositionReferenceIndicator = ""
    ct.KVP, ct.DataCollectionDiameter, ct.ReconstructionDiameter = "120", "500", "380"
    ct.DistanceSourceToDetector, ct.DistanceSourceToPatient = "1040", "570"
    ct.GantryDetectorTilt, ct.TableHeight, ct.RotationDirection = "0", "152.5", "CW"
    ct.ExposureTime, ct.XRayTubeCurrent, ct.Exposure, ct.FilterType = "500", "210", "105", "WEDGE_2"
    ct.GeneratorPower, ct.FocalSpots, ct.ConvolutionKernel = "25", "1.2", "B31f"
    ct.PatientPosition, ct.BodyPartExamined, ct.ScanOptions = "HFS", "CHEST", "HELICAL MODE"
    ct.ProtocolName, ct.SliceThickness, ct.SpacingBetweenSlices = "Thorax Routine", "5", "5"
    ct.RevolutionTime, ct.SingleCollimationWidth, ct.TotalCollimationWidth, ct.TableSpeed = 0.5, 0.6, 38.4, 46.0
    ct.SpiralPitchFactor, ct.CTDIvol = 1.2, 7.1
    ct.ImagePositionPatient = ["-190.0", "-190.0", f"{number * 5.0:.1f}"]
    ct.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ct.SliceLocation, ct.ImageComments = f"{number * 5.0:.1f}", "breath hold"
    ct.WindowCenter, ct.WindowWidth = ["40", "-600"], ["400", "1200"]
    ct.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
    ct.RescaleIntercept, ct.RescaleSlope, ct.RescaleType = "-1024", "1", "HU"
    ct.LossyImageCompression = "00"
    ct.ReferencedStudySequence = Sequence([reference("1.2.840.10008.3.1.2.3.1", ct.StudyInstanceUID)])
    ct.ReferencedImageSequence = Sequence([reference(CT_IMAGE, f"{UID_ROOT}.3.{number}.{n}") for n in (901, 902)])
    ct.ProcedureCodeSequence = code("24627-2", "LN", "CT Chest")
    request = Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = f"RP{number}", "CT CHEST"
    request.ScheduledProcedureStepID = f"SPS{number}"
    request.ScheduledProtocolCodeSequence = code("CTCHEST", "99HARB", "Chest routine")
    ct.RequestAttributesSequence = Sequence([request])
    ct.PerformedProcedureStepStartDate, ct.PerformedProcedureStepStartTime = "20240311", "101400"
    ct.PerformedProcedureStepID = f"PPS{number}"
    ct.PerformedProtocolCodeSequence = code("CTCHEST", "99HARB", "Chest routine")
    ct.AnatomicRegionSequence = code("51185008", "SCT", "Thorax")
    ct.SourceImageSequence = Sequence([reference(CT_IMAGE, f"{UID_ROOT}.3.{number}.950")])
    private_block(ct, 0x0029, "ACME MEDCOM HEADER", [("CS", "ACME1"), ("LO", "20240311"), ("OB", bytes(2048))])
    private_block(ct, 0x0019, "ACME CT VA0 COAD", [("DS", "1.5"), ("LO", f"Rebuilt for PAT{number // 4:07d}"), ("IS", "3")])
    ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
    ct.Rows, ct.Columns, ct.PixelSpacing = CT_ROWS, CT_COLUMNS, ["0.742", "0.742"]
    ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 12, 11, 0
    return ct


def measurement(rng, number):
    """Returns one NUM content item of 14 elements, its units and site included (PS3.3 C.17.3)."""
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence = code("103339001", "SCT", "Long axis")
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = code("mm", "UCUM", "mm")
    measured.NumericValue = f"{rng.uniform(2, 60):.2f}"
    item.MeasuredValueSequence = Sequence([measured])
    if number % 8 == 0:
        item.ContentSequence = Sequence([text_item("HAS CONCEPT MOD", f"seen by Dr {rng.choice(SURNAMES)}")])
    return item


def text_item(relationship, value):
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, "TEXT"
    item.ConceptNameCodeSequence = code("121071", "DCM", "Finding")
    item.TextValue = value
    return item


def structured_report(number):
    """Returns a Comprehensive SR of about 1,500 elements, most of them three to five levels deep."""
    rng = random.Random(f"sr/{number}")
    sr = Dataset()
    identity(sr, rng, number, 7, number + 1)
    sr.SOPClassUID, sr.Modality = COMPREHENSIVE_SR, "SR"
    sr.CompletionFlag, sr.VerificationFlag = "COMPLETE", "VERIFIED"
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Marlow^Imogen", "Harbour General"
    observer.VerificationDateTime = "20240311120000"
    observer.VerifyingObserverIdentificationCodeSequence = code("4711", "99HARB", "Marlow")
    sr.VerifyingObserverSequence = Sequence([observer])
    series = Dataset()
    series.SeriesInstanceUID = f"{UID_ROOT}.2.{number // 4}.3"
    series.ReferencedSOPSequence = Sequence([reference(CT_IMAGE, f"{UID_ROOT}.3.{number}.{n}") for n in range(4)])
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = sr.StudyInstanceUID, Sequence([series])
    sr.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    sr.PerformedProcedureCodeSequence = Sequence([])
    sr.ReferencedPerformedProcedureStepSequence = Sequence([])
    sr.ValueType, sr.ContinuityOfContent = "CONTAINER", "SEPARATE"
    sr.ConceptNameCodeSequence = code("126000", "DCM", "Imaging Measurement Report")
    sr.ContentSequence = Sequence(measurement(rng, n) for n in range(SR_MEASUREMENTS))
    private_block(sr, 0x0041, "ACME SR", [("LO", "template 3"), ("PN", "Quill^Peregrine")])
    return sr


def file_meta(dataset, transfer_syntax):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = f"{UID_ROOT}.0.1"
    meta.ImplementationVersionName = "ACME_BENCH"
    meta.SourceApplicationEntityTitle = "CTHARB1"
    return meta


def write(path, dataset, transfer_syntax):
    dataset.file_meta = file_meta(dataset, transfer_syntax)
    dataset.save_as(path, enforce_file_format=True)


def make_ct(folder, count):
    folder.mkdir(parents=True)
    noise = random.Random("ct pixels").randbytes(CT_ROWS * CT_COLUMNS * 2)
    for number in range(count):
        ct = ct_slice(number)
        shift = number * 2 % len(noise)
        ct.PixelData = noise[shift:] + noise[:shift]
        ct["PixelData"].VR = "OW"
        write(folder / f"ct{number:05d}.dcm", ct, ExplicitVRLittleEndian)


def make_sr(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        write(folder / f"sr{number:05d}.dcm", structured_report(number), ImplicitVRLittleEndian)


def make_multiframe(folder, size_bytes):
    """Writes one Enhanced CT whose pixel data is a hole in the file: read as zeros, and costing no disk."""
    folder.mkdir(parents=True)
    frames = size_bytes // (CT_ROWS * CT_COLUMNS * 2)
    ct = ct_slice(0)
    ct.SOPClassUID, ct.NumberOfFrames = ENHANCED_CT_IMAGE, frames
    ct.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    path = folder / "multiframe.dcm"
    write(path, ct, ExplicitVRLittleEndian)
    length = frames * CT_ROWS * CT_COLUMNS * 2
    with open(path, "ab") as file:
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))
        file.truncate(file.tell() + length)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["ct", "sr", "multiframe"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    options = parser.parse_args()
    if options.kind == "multiframe":
        make_multiframe(options.folder, options.bytes)
    else:
        {"ct": make_ct, "sr": make_sr}[options.kind](options.folder, options.count)


if __name__ == "__main__":
    main()
