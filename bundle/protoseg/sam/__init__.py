"""SAM and MedSAM: segment-anything's encoder and decoder, made quick, and prompts on the image's own frame."""
