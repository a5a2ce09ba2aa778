"""Models on the Hugging Face Hub: repositories listed, headers kept, files fetched or streamed."""
