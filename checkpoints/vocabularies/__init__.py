"""Tokenizers of several checkpoints -> one tokenizer, and for each checkpoint an index of rows."""
