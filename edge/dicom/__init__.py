"""The vocabulary of DICOM as the edge speaks it: values and codecs, no I/O."""
