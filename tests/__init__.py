"""The tests: they mirror `edge/` by name; samples, fakes and contracts stand beside them."""
