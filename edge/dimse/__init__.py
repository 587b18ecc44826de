"""The DICOM upper layer and the DIMSE services (PS3.7, PS3.8)."""
