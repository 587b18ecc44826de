"""DICOMweb on the LAN (PS3.18)."""
