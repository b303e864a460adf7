"""The Hugging Face Hub: which commit, which files, where they lie on this machine."""
