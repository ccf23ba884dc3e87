#!/usr/bin/env python3
"""Writes the compact facts beside this file from the JSON tables of a shared data folder.

Usage: generate.py DATA_DIR [--check]
The output is checked in; the build and the program never need the JSON. `--check` compares instead of writing (exit 1 if stale).
Formats: see domain/src/dicom/facts/mod.rs.
"""

import gzip
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
EDITION = "2024e+2026c"
OPTIONS = {
    "retain_safe_private": "s", "retain_uids": "u", "retain_device_id": "d", "retain_institution_id": "i",
    "retain_patient_chars": "p", "retain_long_full_dates": "f", "retain_long_modified_dates": "m",
    "clean_descriptors": "e", "clean_structured_content": "t", "clean_graphics": "g",
}
TYPES = {"1": "1", "1C": "A", "2": "2", "2C": "B", "3": "3", "-": "-"}
STRICT = "12AB3-"

# What a value tells about its object, for the search of the object's own identifiers in free text:
# i an id (compared without punctuation), p a place or organisation (its words), w a phrase (as a whole). Names are known by VR PN.
IDS = """AccessionNumber PatientID OtherPatientIDs InsurancePlanIdentification MedicalRecordLocator PatientTelephoneNumbers
ReferringPhysicianTelephoneNumbers PersonTelephoneNumbers OrderCallbackPhoneNumber DeviceSerialNumber PlateID GeneratorID CassetteID
GantryID UniqueDeviceIdentifier SecondaryCaptureDeviceID HardcopyCreationDeviceID DetectorID XRaySourceID XRayDetectorID StudyID
AdmissionID ServiceEpisodeID ScheduledProcedureStepID PerformedProcedureStepID SpecimenAccessionNumber ContainerIdentifier
SpecimenIdentifier SlideIdentifier RequestedProcedureID PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
ResultsID InterpretationID SourceSerialNumber ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialProtocolID
ClinicalTrialSiteID LensSerialNumber BarcodeValue DeviceAlternateIdentifier TelephoneNumberTrial StationName ScheduledStationName
PerformedStationName ModifyingSystem RetrieveAETitle StationAETitle ScheduledStudyLocationAETitle ScheduledStationAETitle
PerformedStationAETitle ReceivingAE RequestingAE Originator DestinationAE NetworkID TreatmentMachineName ContainerComponentID
ManufacturerDeviceIdentifier FlowIdentifier SourceIdentifier ClinicalTrialProtocolEthicsCommitteeApprovalNumber""".split()
PLACES = """InstitutionName InstitutionAddress InstitutionalDepartmentName ReferringPhysicianAddress PatientAddress RegionOfResidence
ResponsibleOrganization ClinicalTrialSponsorName ClinicalTrialSiteName ClinicalTrialCoordinatingCenterName ScheduledStudyLocation
CurrentPatientLocation PatientInstitutionResidence ScheduledPatientInstitutionResidence ScheduledProcedureStepLocation PerformedLocation
PersonAddress OrderEntererLocation HumanPerformerOrganization VerifyingOrganization AddressTrial SourceOfPreviousValues
DistributionAddress RequestedProcedureLocation ClinicalTrialProtocolEthicsCommitteeName IssuerOfPatientID StudyIDIssuer
IssuerOfAdmissionID IssuerOfServiceEpisodeID ResultsIDIssuer InterpretationIDIssuer CameraOwnerName TopicAuthor""".split()
PHRASES = "Occupation PatientReligiousPreference EthnicGroup MilitaryRank BranchOfService InsurancePlanIdentification".split()


def tag_of(row):
    """Returns eight characters: hex digits, x where any digit matches; `odd` for private groups."""
    if "odd" in row["tag"]:
        return "odd....."
    return row["tag"][1:-1].replace(",", "")


def identifier_class(row):
    keyword = row["keyword"] or ""
    return "i" if keyword in IDS else "p" if keyword in PLACES else "w" if keyword in PHRASES else "-"


def table(data):
    rows = json.loads((data / "ps3.15-table-e1-1.json").read_text())
    known = {row["keyword"] for row in rows}
    unknown = [keyword for keyword in IDS + PLACES + PHRASES if keyword not in known]
    if unknown:
        sys.exit(f"no row for {unknown}")
    lines = [f"# PS3.15 Table E.1-1, {EDITION}, {len(rows)} rows: number tag codes vr class options editions"]
    for number, row in enumerate(rows, 1):
        options = "".join(OPTIONS[name] + code for name, code in sorted(row["options"].items())) or "-"
        lines.append(f"{number} {tag_of(row)} {row['basic']} {row['vr'] or '--'} {identifier_class(row)} {options} {'+'.join(row['editions'])}")
    return "\n".join(lines) + "\n"


def merged(trees, index, numbers):
    """Returns the number of the tree that is the union of `numbers`, adding it if no such tree exists."""
    if len(numbers) == 1:
        return numbers[0]
    entries = {}
    for number in numbers:
        for tag, kind, child in trees[number]:
            entries.setdefault(tag, []).append((kind, child))
    union = []
    for tag in sorted(entries):
        kind = min((kind for kind, _ in entries[tag]), key=STRICT.index)
        children = sorted({child for _, child in entries[tag] if child >= 0})
        union.append((tag, kind, merged(trees, index, children) if children else -1))
    key = tuple(union)
    if key not in index:
        index[key] = len(trees)
        trees.append(union)
    return index[key]


def iods(data):
    source = json.loads(gzip.decompress((data / "iod-attributes.json.gz").read_bytes()))
    trees = [sorted((tag, TYPES[kind], child) for tag, kind, child in tree) for tree in source["trees"]]
    index = {tuple(tree): number for number, tree in enumerate(trees)}
    modules = sorted(source["modules"])
    names = sorted(source["iods"])
    lines = [f"# sop classes {len(source['sop_classes'])} iods {len(names)} modules {len(modules)}"]
    lines += [f"S {uid} {names.index(iod)}" for uid, iod in sorted(source["sop_classes"].items())]
    for name in names:
        parts, children, partial = [], {}, ""
        for module, usage, _ in source["iods"][name]:
            if module not in source["modules"]:
                partial = " partial"
                continue
            parts.append(f"{usage}{modules.index(module)}")
            for tag, _, child in trees[source["modules"][module]]:
                if child >= 0:
                    children.setdefault(tag, set()).add(child)
        shared = {tag: merged(trees, index, sorted(numbers)) for tag, numbers in children.items() if len(numbers) > 1}
        overrides = "".join(f" {tag}={number}" for tag, number in sorted(shared.items()))
        lines.append(f"I {name} {' '.join(parts)}{overrides}{partial}")
    lines += [f"M {name} {source['modules'][name]}" for name in modules]
    rows = ["".join(f"{tag}{kind}{f'{child:04X}' if child >= 0 else '....'}" for tag, kind, child in tree) for tree in trees]
    return "\n".join(lines) + "\n", "\n".join(rows) + "\n"


def main():
    data = pathlib.Path(sys.argv[1])
    iod_text, tree_text = iods(data)
    stale = []
    for name, text in (("e1-1.txt", table(data)), ("iods.txt", iod_text), ("trees.txt", tree_text)):
        path = HERE / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.write_text(text)
            print(f"{name}: {len(text)} bytes")
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run generate.py again")


if __name__ == "__main__":
    main()
