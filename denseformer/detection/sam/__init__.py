"""SAM's decoder, and USIS-SAM, which prompts it region by region."""
