"""The door for files: a folder whose DICOM files, ZIP archives and media are admitted.

The drop folder is a plaintext place by nature: whoever puts a file there has it in the clear, and
so has everyone who may read the folder. It is as safe as the share or the disk it lies on. Once a
file is admitted its bytes are sealed in the store, and the file is deleted; the blocks that it lay
on are not overwritten. The edge itself never writes image data there.

``worklist`` watches folders of another kind: those whose files say what is scheduled. Nothing is
taken away from them.
"""
