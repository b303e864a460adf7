"""Publishing a checkpoint and its data, with cards written from lineage."""
