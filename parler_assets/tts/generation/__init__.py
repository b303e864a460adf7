"""From texts and descriptions to speech: inputs, the loop over columns of codes, sampling, streaming."""
