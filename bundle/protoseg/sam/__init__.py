"""SAM and MedSAM: segment-anything's encoder and decoder, made fast, and prompts in the image's own frame."""
